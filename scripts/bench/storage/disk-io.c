/* Reads or writes blocks of a device, one after the other or at places that look random, past the page cache. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: disk-io read|write sequential|random DEVICE BYTES COUNT\n");
        return 64;
    }
    int writing = strcmp(argv[1], "write") == 0;
    int random = strcmp(argv[2], "random") == 0;
    int file = open(argv[3], (writing ? O_WRONLY : O_RDONLY) | O_DIRECT);
    size_t size = (size_t)atol(argv[4]);
    long count = atol(argv[5]);
    uint64_t blocks = file < 0 ? 0 : (uint64_t)lseek(file, 0, SEEK_END) / size;
    void *buffer;
    if (blocks == 0 || posix_memalign(&buffer, 4096, size) != 0) {
        perror(argv[3]);
        return 1;
    }
    memset(buffer, 0x5a, size);
    /* Several at once go to different places. */
    uint64_t state = 88172645463325252u + (uint64_t)getpid();
    for (long i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        off_t at = (off_t)((random ? state : (uint64_t)i) % blocks * size);
        ssize_t done = writing ? pwrite(file, buffer, size, at) : pread(file, buffer, size, at);
        if (done != (ssize_t)size) {
            perror(argv[1]);
            return 1;
        }
    }
    return 0;
}
