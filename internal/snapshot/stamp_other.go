//go:build !(linux || openbsd || dragonfly || solaris || darwin || freebsd || netbsd)

package snapshot

import "io/fs"

// inodeOf gives neither inode nor ctime: this platform's [fs.FileInfo] has none.
func inodeOf(fs.FileInfo) (inode uint64, ctime int64) { return 0, 0 }
