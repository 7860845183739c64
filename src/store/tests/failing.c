/* Makes one fsync fail, the Nth, and all after it succeed: as a disk does that lost a write and then forgot it.
   Or makes every fsync do nothing. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>

static int fails(void) {
    static int count;
    const char *at = getenv("STORE_TEST_FSYNC_FAILS_AT");
    return at && ++count == atoi(at) && (errno = EIO);
}

static int lies(void) { return getenv("STORE_TEST_FLUSHES_NOTHING") != 0; }

int fsync(int fd) { return fails() ? -1 : lies() ? 0 : syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return fails() ? -1 : lies() ? 0 : syscall(SYS_fdatasync, fd); }
