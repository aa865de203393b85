/* Reads or writes blocks of 4 KiB at places that look random, one after the other, past the page cache. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096 };

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: random-io read|write DEVICE COUNT\n");
        return 64;
    }
    int writing = strcmp(argv[1], "write") == 0;
    int file = open(argv[2], (writing ? O_WRONLY : O_RDONLY) | O_DIRECT);
    long count = atol(argv[3]);
    off_t blocks = file < 0 ? 0 : lseek(file, 0, SEEK_END) / BLOCK;
    void *buffer;
    if (blocks == 0 || posix_memalign(&buffer, BLOCK, BLOCK) != 0) {
        perror(argv[2]);
        return 1;
    }
    memset(buffer, 0x5a, BLOCK);
    uint64_t state = 88172645463325252u;
    for (long i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        off_t at = (off_t)(state % (uint64_t)blocks) * BLOCK;
        ssize_t done = writing ? pwrite(file, buffer, BLOCK, at) : pread(file, buffer, BLOCK, at);
        if (done != BLOCK) {
            perror(argv[1]);
            return 1;
        }
    }
    return 0;
}
