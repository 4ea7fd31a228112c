package fs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// as runs a command of the shell as an ordinary user. The shell changes directory
// itself: where Go does, the fork stops the world that is to serve it.
func as(t testing.TB, uid int, dir, script string) (string, error) {
	t.Helper()
	id := fmt.Sprint(uid)
	c := exec.Command("setpriv", "--reuid", id, "--regid", id, "--clear-groups", "sh", "-c", `cd "$0" && (`+script+")", dir)
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// opened makes a temporary directory whose parents others may enter.
func opened(t testing.TB) string {
	dir, err := os.MkdirTemp("", "kmsfs-users")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ok(t, os.Chmod(dir, 0o755))
	return dir
}

func TestAllowOther(t *testing.T) {
	m := mountT(t, setup{mount: MountOptions{AllowOther: true}})
	for p := m.root; p != "/tmp" && p != "/"; p = filepath.Dir(p) {
		ok(t, os.Chmod(p, 0o777)) // t.TempDir is for us alone
	}
	if line := mountLine(t, m.root); !strings.Contains(line, "allow_other") || !strings.Contains(line, "default_permissions") {
		t.Error(line)
	}
	ok(t, os.WriteFile(m.path("private"), []byte("p"), 0o600))
	ok(t, os.WriteFile(m.path("public"), []byte("q"), 0o644))
	if out, err := as(t, nobody, "/", "cat "+m.path("private")); err == nil {
		t.Errorf("somebody read a private file: %s", out)
	}
	out, err := as(t, nobody, "/", "cat "+m.path("public"))
	ok(t, err)
	eq(t, "public", out, "q")
	out, err = as(t, nobody, m.root, "umask 022; mkdir d && echo x > d/f && ln -s f d/l && stat -c %u:%g:%a d d/f d/l")
	if err != nil {
		t.Fatal(err, out)
	}
	eq(t, "owners", out, "65534:65534:755\n65534:65534:644\n65534:65534:777")

	// SUID and SGID go when another user writes or truncates, by whatever call.
	ok(t, os.WriteFile(m.path("s"), []byte("p"), 0o600))
	for _, change := range []string{": > s", "echo x >> s", "truncate -s 3 s"} {
		ok(t, unix.Chmod(m.path("s"), 0o6777))
		out, err = as(t, nobody, m.root, change)
		if err != nil {
			t.Fatal(err, out)
		}
		eq(t, "mode after "+change, stat(t, m.path("s")).Mode&0o7777, uint32(0o777))
	}
	ok(t, os.Mkdir(m.path("g"), 0o700))
	ok(t, unix.Chown(m.path("g"), nobody, 1234))
	ok(t, unix.Chmod(m.path("g"), 0o2777))
	out, err = as(t, nobody, m.path("g"), "touch f; mkdir d; stat -c %u:%g f d")
	if err != nil {
		t.Fatal(err, out)
	}
	eq(t, "group from the directory", out, "65534:1234\n65534:1234")
}

// TestUserMount mounts as an ordinary user, through fusermount3, in a mount
// namespace whose /dev/fuse is open to all, as udev makes it.
func TestUserMount(t *testing.T) {
	dir := opened(t)
	bin := filepath.Join(dir, "fs.test")
	b, err := os.ReadFile("/proc/self/exe")
	ok(t, err)
	ok(t, os.WriteFile(bin, b, 0o755))
	ok(t, os.Chmod(bin, 0o755))
	home := filepath.Join(dir, "home")
	ok(t, os.Mkdir(home, 0o700))
	ok(t, os.Chown(home, nobody, nobody))
	for _, mode := range []string{"666", "600"} {
		script := fmt.Sprintf(`set -e
			mknod %[1]s/dev%[2]s c 10 229
			chmod %[2]s %[1]s/dev%[2]s
			mount --bind %[1]s/dev%[2]s /dev/fuse
			cd %[3]s
			exec env TMPDIR=%[3]s KMSFS_TEST_USER=%[2]s setpriv --reuid 65534 --regid 65534 --clear-groups %[4]s -test.run '^TestUserMountHelper$'`,
			dir, mode, home, bin)
		out, err := exec.Command("unshare", "-m", "sh", "-c", script).CombinedOutput()
		if err != nil {
			t.Errorf("/dev/fuse of mode %s: %v\n%s", mode, err, out)
		}
	}
}

// TestUserMountHelper is what TestUserMount runs as another user.
func TestUserMountHelper(t *testing.T) {
	switch os.Getenv("KMSFS_TEST_USER") {
	case "600":
		_, err := Mount(nil, MountOptions{Mountpoint: t.TempDir()})
		wantErr(t, "mount", err, ErrDevice)
		wantErr(t, "mount", err, unix.EACCES)
	case "666":
		_, err := Mount(nil, MountOptions{Mountpoint: t.TempDir(), AllowOther: true})
		wantErr(t, "mount", err, ErrAllowOther)
		t.Run("path", func(t *testing.T) {
			t.Setenv("PATH", "/nowhere")
			if _, err := os.Stat("/bin/fusermount3"); err != nil {
				_, err := Mount(nil, MountOptions{Mountpoint: t.TempDir()})
				wantErr(t, "mount", err, ErrNoFusermount)
			}
		})
		m := mountT(t, setup{mount: MountOptions{Source: "a,b c"}})
		if line := mountLine(t, m.root); !strings.HasPrefix(line, `a,b\040c `) || !strings.Contains(line, " fuse.kmsfs ") {
			t.Error(line)
		}
		ok(t, os.WriteFile(m.path("f"), []byte("x"), 0o444))
		contents(t, m.path("f"), []byte("x"))
		_, err = os.OpenFile(m.path("f"), os.O_WRONLY, 0)
		wantErr(t, "write of mode 0444", err, unix.EACCES)
		wantErr(t, "truncate of mode 0444", os.Truncate(m.path("f"), 0), unix.EACCES)
		wantErr(t, "access", unix.Access(m.path("f"), unix.W_OK), unix.EACCES)
		ok(t, unix.Access(m.path("f"), unix.R_OK))
		ok(t, os.Chmod(m.path("f"), 0o200))
		_, err = os.Open(m.path("f"))
		wantErr(t, "read of mode 0200", err, unix.EACCES)
		w, err := os.OpenFile(m.path("f"), os.O_WRONLY, 0)
		ok(t, err)
		_, err = w.WriteAt([]byte("yz"), 4) // needs to read the page, which is our affair
		ok(t, err)
		ok(t, w.Close())
		ok(t, os.Chmod(m.path("f"), 0o600))
		contents(t, m.path("f"), []byte("x\x00\x00\x00yz"))
		ok(t, os.Mkdir(m.path("d"), 0o500))
		defer os.Chmod(m.path("d"), 0o700)
		eq(t, "mode", stat(t, m.path("d")).Mode, uint32(unix.S_IFDIR|0o500))
		wantErr(t, "create in mode 0500", os.WriteFile(m.path("d", "f"), nil, 0o600), unix.EACCES)
		wantErr(t, "chown", os.Chown(m.path("f"), 0, 0), unix.EPERM)
	}
}
