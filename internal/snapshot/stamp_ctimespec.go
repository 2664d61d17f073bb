//go:build darwin || freebsd || netbsd

package snapshot

import (
	"io/fs"
	"syscall"
)

// inodeOf gives a file's inode and ctime in nanoseconds; zeros if it is not of the operating system's.
func inodeOf(info fs.FileInfo) (inode uint64, ctime int64) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino), stat.Ctimespec.Nano()
	}
	return 0, 0
}
