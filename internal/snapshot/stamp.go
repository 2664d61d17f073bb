package snapshot

import (
	"io/fs"
	"time"
)

// stamp is what a file system tells of a file without its content being read. Whoever writes to a file changes its
// ctime, which no program can set; where a platform has none (Windows), mtime and size have to do, as they do for rsync.
type stamp struct {
	Size  int64
	Inode uint64 // 0 where the platform does not give it
	MTime int64  // nanoseconds since 1970
	CTime int64  // the same; 0 where the platform does not give it
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	s.Inode, s.CTime = inodeOf(info)
	return s
}

// changed is when the file was last written to, as far as the stamp tells, in nanoseconds since 1970.
func (s stamp) changed() int64 {
	if s.CTime != 0 {
		return s.CTime
	}
	return s.MTime
}

const (
	// coarse is the granularity of file systems that keep no fractions of seconds: 1 s, and on FAT 2.
	coarse = 2 * time.Second
	// fine is an upper bound of it on others: times are those of the kernel's last tick, 16 ms ago at the most, and some
	// file systems count in tens of milliseconds.
	fine = 100 * time.Millisecond
)

// settled tells whether a file last written to at changed, in nanoseconds, cannot have been written to after at without
// another time to show for it: a second write within the file system's granularity leaves no trace. at is by the file
// system's clock.
func settled(changed int64, at time.Time) bool {
	granularity := fine
	if changed%int64(time.Second) == 0 {
		granularity = coarse
	}
	return changed+int64(granularity) <= at.UnixNano()
}
