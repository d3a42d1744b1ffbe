/* Preloaded into the program under test: makes syncs slow and the wall clock wrong, as two files say.
   SLOW_DISK_FILE holds the longest delay of a sync in microseconds; CLOCK_FILE holds seconds to add. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long number(const char *variable) {
    const char *path = getenv(variable);
    FILE *file = path ? fopen(path, "re") : NULL;
    long value = 0;
    if (!file) return 0;
    if (fscanf(file, "%ld", &value) != 1) value = 0;
    fclose(file);
    return value;
}

static void delay(void) {
    long longest = number("SLOW_DISK_FILE");
    if (longest > 0) usleep((useconds_t)(rand() % longest));
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    delay();
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    delay();
    return real(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += number("CLOCK_FILE");
    return result;
}
