// An approved app that somebody has talked into things, for tests on a tablet.
//
//   tool-box start FILE WORD…      starts a program by its path
//   tool-box handle FILE WORD…     by an open descriptor
//   tool-box memory FILE WORD…     out of memory: a copy in a memfd
//   tool-box store FILE            changes the last byte through a shared mapping, says so, waits for the end of its input
//   tool-box namespace             asks for a user namespace, as a browser's sandbox does
//   tool-box storm TIMES RUNS REFUSED    starts both in turns; says what came of it
//   tool-box watch FILE END        watches a file and no longer watches it, over and over until there is END
//   tool-box nothing
//
// Exit 126: it was not permitted.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

static int refused(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 126;
}

static int opened(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC);
    if (file < 0) exit(refused(path));
    return file;
}

static int memory(char **words) {
    int from = opened(words[0], O_RDONLY);
    struct stat seen;
    fstat(from, &seen);
    // Asked for as such first; a kernel that knows no such question makes no difference.
    int copy = memfd_create("copy", MFD_EXEC);
    if (copy < 0) copy = memfd_create("copy", 0);
    if (copy < 0) return refused("memfd_create");
    if (sendfile(copy, from, NULL, seen.st_size) != seen.st_size) return refused("copy");
    fexecve(copy, words, environ);
    return refused("memory");
}

static int store(const char *path) {
    int file = opened(path, O_RDWR);
    struct stat seen;
    fstat(file, &seen);
    char *at = mmap(NULL, seen.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) return refused("mmap");
    at[seen.st_size - 1] ^= 1;
    puts("stored");
    fflush(stdout);
    char rest;
    while (read(0, &rest, 1) > 0) {}
    return 0;
}

// Whether it started and ended well; not: nobody permitted it. Anything else is counted apart.
static void start(const char *path, long *ran, long *denied, long *odd) {
    pid_t child = vfork();
    if (child == 0) {
        execl(path, path, (char *)NULL);
        _exit(errno == EPERM ? 126 : 127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) ++*odd;
    else if (WEXITSTATUS(status) == 0) ++*ran;
    else if (WEXITSTATUS(status) == 126) ++*denied;
    else ++*odd;
}

static int storm(long times, const char *runs, const char *refuses) {
    long ran[2] = {0}, denied[2] = {0}, odd = 0;
    int out = open("/dev/null", O_WRONLY);
    int said = dup(1);
    dup2(out, 1);
    for (long i = 0; i < times; i++) {
        start(runs, &ran[0], &denied[0], &odd);
        start(refuses, &ran[1], &denied[1], &odd);
    }
    dprintf(said, "approved %ld ran %ld denied, unapproved %ld ran %ld denied, %ld odd\n", ran[0], denied[0], ran[1], denied[1], odd);
    return 0;
}

static int watch(const char *path, const char *end) {
    int from = inotify_init();
    while (access(end, F_OK) != 0) {
        for (int i = 0; i < 1000; i++) {
            int one = inotify_add_watch(from, path, IN_OPEN);
            if (one < 0 || inotify_rm_watch(from, one) != 0) return refused("watch");
        }
    }
    return 0;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "nothing";
    if (!strcmp(what, "nothing")) return 0;
    if (!strcmp(what, "namespace")) return unshare(CLONE_NEWUSER) ? refused(what) : 0;
    if (count < 3) return 2;
    if (!strcmp(what, "start")) return execv(words[2], words + 2), refused(words[2]);
    if (!strcmp(what, "handle")) return fexecve(opened(words[2], O_PATH), words + 2, environ), refused(words[2]);
    if (!strcmp(what, "memory")) return memory(words + 2);
    if (!strcmp(what, "store")) return store(words[2]);
    if (!strcmp(what, "watch") && count == 4) return watch(words[2], words[3]);
    if (!strcmp(what, "storm") && count == 5) return storm(atol(words[2]), words[3], words[4]);
    return 2;
}
