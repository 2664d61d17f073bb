package snapshot

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncsAll tells that syncFolder writes a whole file system to disk: no file need be synced by itself.
const syncsAll = true

// clone makes dst share the blocks of src (FICLONE), where the file system can (btrfs, XFS, bcachefs).
func clone(dst, src *os.File) error { return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) }

// syncFolder writes the file system that holds a folder to disk.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return nil
}

// lock keeps a second pack out of a folder until the function it gives is called, or the process ends.
func lock(root *os.Root, name string) (unlock func(), err error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, errors.New("another pack is running")
	}
	// A file system without locks (some network ones) is no reason not to pack.
	return func() { f.Close() }, nil
}
