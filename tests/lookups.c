/* Looks names up as programs do: lookups COUNT NAME=ADDRESS[,ADDRESS]...
 *
 * Four processes resolve the names in turn until COUNT look-ups are done in all. Each must give one of the name's addresses
 * and nothing else. Prints how many did not resolve, and how many gave something else. */

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READERS = 4 };

struct counts {
    long failed, wrong;
};

/* 0 where the name has one address, which is among those expected; 1 where it has none, 2 where another. */
static int look_up(const char *name, const char *expected)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return 1;
    char text[INET_ADDRSTRLEN + 1] = "";
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, INET_ADDRSTRLEN);
    int alone = found->ai_next == NULL;
    freeaddrinfo(found);
    const char *at = strstr(expected, strcat(text, ","));
    return alone && at != NULL && (at == expected || at[-1] == ',') ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 64;
    long count = atol(argv[1]) / READERS;
    for (int i = 2; i < argc; i++)
        *strchr(argv[i], '=') = '\0';
    struct counts *counts =
        mmap(NULL, READERS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int reader = 0; reader < READERS; reader++) {
        if (fork() != 0)
            continue;
        for (long i = 0; i < count; i++) {
            const char *name = argv[2 + (i + reader) % (argc - 2)];
            int result = look_up(name, name + strlen(name) + 1);
            counts[reader].failed += result == 1;
            counts[reader].wrong += result == 2;
        }
        _exit(0);
    }
    int status, ended = 0;
    while (wait(&status) > 0)
        ended += status == 0;
    struct counts all = {0, 0};
    for (int reader = 0; reader < READERS; reader++) {
        all.failed += counts[reader].failed;
        all.wrong += counts[reader].wrong;
    }
    printf("%ld %ld\n", all.failed, all.wrong);
    return ended == READERS ? 0 : 1;
}
