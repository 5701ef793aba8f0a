/* Keeps, beside a home, what its disk would hold if the power went now: each file as of its last sync. Preloaded.
 *
 * $ALLY_DISK/data/KEY     the bytes of a file when it was last synced; KEY is its inode and its birth
 * $ALLY_DISK/dirs/FOLDER  lines "KEY NAME": what the folder is known to hold; FOLDER is its path with % for /, % alone is the home
 *
 * A synced file keeps its name (as on ext4). A new name of it, or the end of one, lasts once its folder is synced.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int key_of(int at, const char *name, char *key, size_t size, unsigned *mode) {
    struct statx seen;
    int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);
    if (statx(at, name, flags, STATX_TYPE | STATX_INO | STATX_BTIME, &seen) != 0) return -1;
    snprintf(key, size, "%llx-%llx-%x", (unsigned long long)seen.stx_ino, (unsigned long long)seen.stx_btime.tv_sec,
             seen.stx_btime.tv_nsec);
    *mode = seen.stx_mode;
    return 0;
}

static int lock(const char *disk) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", disk);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) flock(fd, LOCK_EX);
    return fd;
}

static void listing_of(const char *disk, const char *folder, char *path, size_t size) {
    int used = snprintf(path, size, "%s/dirs/", disk);
    snprintf(path + used, size - used, "%s", folder[0] ? folder + 1 : "%");
    for (char *at = path + used; *at; at++)
        if (*at == '/') *at = '%';
}

static void keep_file(const char *disk, int fd, const char *link, char *folder, const char *key) {
    char part[PATH_MAX], whole[PATH_MAX], listing[PATH_MAX], bytes[1 << 16];
    snprintf(part, sizeof part, "%s/part", disk);
    snprintf(whole, sizeof whole, "%s/data/%s", disk, key);
    /* To open and close a file of SQLite's would end its locks: only what cannot be read otherwise is opened. */
    int own = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? open(link, O_RDONLY | O_CLOEXEC) : -1;
    int from = own >= 0 ? own : fd, to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t at = 0;
    ssize_t got;
    while (to >= 0 && (got = pread(from, bytes, sizeof bytes, at)) > 0) {
        if (write(to, bytes, got) != got) abort();
        at += got;
    }
    if (own >= 0) close(own);
    if (to >= 0) close(to);
    rename(part, whole);
    char *slash = strrchr(folder, '/');
    if (!slash) return;
    *slash = 0;
    listing_of(disk, folder, listing, sizeof listing);
    FILE *list = fopen(listing, "ae");
    if (list) {
        fprintf(list, "%s %s\n", key, slash + 1);
        fclose(list);
    }
}

static void keep_folder(const char *disk, const char *path, const char *folder) {
    char part[PATH_MAX], listing[PATH_MAX], key[64];
    unsigned mode;
    snprintf(part, sizeof part, "%s/part", disk);
    listing_of(disk, folder, listing, sizeof listing);
    FILE *list = fopen(part, "we");
    DIR *entries = opendir(path);
    struct dirent *entry;
    while (list && entries && (entry = readdir(entries)))
        if (key_of(dirfd(entries), entry->d_name, key, sizeof key, &mode) == 0 && S_ISREG(mode))
            fprintf(list, "%s %s\n", key, entry->d_name);
    if (entries) closedir(entries);
    if (list) fclose(list);
    rename(part, listing);
}

static void keep(int fd) {
    const char *home = getenv("ALLY_HOME"), *disk = getenv("ALLY_DISK");
    char link[64], path[PATH_MAX], key[64];
    unsigned mode;
    if (!home || !disk) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t start = strlen(home);
    if (length < 0 || (path[length] = 0, strncmp(path, home, start)) || (path[start] && path[start] != '/')) return;
    if (key_of(fd, "", key, sizeof key, &mode) != 0) return;
    int held = lock(disk);
    if (S_ISDIR(mode)) keep_folder(disk, path, path + start);
    else if (S_ISREG(mode)) keep_file(disk, fd, link, path + start, key);
    if (held >= 0) close(held);
}

static int synced(long call, int fd) {
    int result = syscall(call, fd), error = errno;
    if (result == 0) keep(fd);
    errno = error;
    return result;
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }
