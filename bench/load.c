/* Load for a daemon on a Unix socket, in a program that is not the bottleneck.

       cc -O2 -o load load.c
       load torpor|redis SOCKET CONNECTIONS PIPELINED SECONDS [WARM_UP_SECONDS]

   Each connection sends PIPELINED requests with one write, waits for all their answers, and sends the next. torpor's
   request is an `event request_arrived`, redis's a SET of one key: each is one durable change. An answer that is none
   ends the program, saying so. Prints one JSON object: what was answered after the warming up, and for how long; the
   latencies are of such writes, from the send to the last of their answers, in microseconds; `cpu_s` is this
   program's own, to show that it was not the bottleneck. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST_SAMPLES (16 * 1024 * 1024) /* 64 MB: a minute at a rate that nobody has reached */
#define READ_BYTES (64 * 1024)

struct kind {
    const char *name, *request, *answer; /* how each answer begins; it ends with LF, and has no other */
};

static const struct kind kinds[] = {
    {"torpor",
     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event\",\"params\":{\"event\":\"request_arrived\"}}\n",
     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"},
    {"redis", "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nxxx\r\n", "+OK"},
};

struct connection {
    int fd;
    int left;       /* answers that are yet to come */
    size_t matched; /* of this answer's beginning: all of it, and the rest is skipped */
    int64_t sent_ns;
};

static const struct kind *kind;
static size_t answer_len;
static int pipelined;
static char *burst;
static size_t burst_len;
static uint32_t *samples;
static size_t sampled;

static void die(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (strlen(path) >= sizeof address.sun_path)
        die("this path is too long for a socket");
    strcpy(address.sun_path, path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die(path);
    return fd;
}

static void say(struct connection *to) {
    /* A burst is smaller than the socket's buffer, which is empty: it goes whole, or something is wrong. */
    to->left = pipelined;
    to->sent_ns = now_ns();
    if (send(to->fd, burst, burst_len, MSG_NOSIGNAL) != (ssize_t)burst_len)
        die("send");
}

/* Take what has come. Returns whether that was the last answer of a burst. */
static int hear(struct connection *from) {
    static char data[READ_BYTES];
    ssize_t came = recv(from->fd, data, sizeof data, 0);
    if (came <= 0)
        die(came ? "recv" : "the other side closed the connection");
    for (ssize_t at = 0; at < came;) {
        if (from->matched < answer_len) {
            if (data[at++] != kind->answer[from->matched++]) {
                fprintf(stderr, "load: not an answer: %.*s\n", (int)(came - at > 300 ? 300 : came - at), data + at);
                exit(1);
            }
            continue;
        }
        char *end = memchr(data + at, '\n', came - at);
        if (!end)
            break;
        at = end - data + 1;
        from->matched = 0;
        from->left--;
    }
    return from->left == 0;
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static uint32_t at(double share) {
    return sampled ? samples[(size_t)(share * (sampled - 1))] : 0;
}

int main(int argc, char **argv) {
    if (argc < 6)
        die("usage: load torpor|redis SOCKET CONNECTIONS PIPELINED SECONDS [WARM_UP_SECONDS]");
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++)
        if (!strcmp(argv[1], kinds[n].name))
            kind = &kinds[n];
    int count = atoi(argv[3]);
    pipelined = atoi(argv[4]);
    int64_t for_ns = atof(argv[5]) * 1e9, warm_ns = argc > 6 ? atof(argv[6]) * 1e9 : 0;
    if (!kind || count < 1 || pipelined < 1 || pipelined > 512)
        die("not one of torpor and redis, no connections, or not 1 to 512 pipelined");
    answer_len = strlen(kind->answer);
    size_t len = strlen(kind->request);
    burst_len = len * pipelined;
    burst = malloc(burst_len);
    samples = malloc(MOST_SAMPLES * sizeof *samples);
    struct connection *all = calloc(count, sizeof *all);
    struct epoll_event *ready = calloc(count, sizeof *ready);
    int poll = epoll_create1(0);
    if (!burst || !samples || !all || !ready || poll < 0)
        die("memory");
    for (int n = 0; n < pipelined; n++)
        memcpy(burst + n * len, kind->request, len);
    for (int n = 0; n < count; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[n]};
        all[n].fd = dial(argv[2]);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[n].fd, &event))
            die("epoll_ctl");
    }
    int64_t from_ns = now_ns() + warm_ns, until_ns = from_ns + for_ns, last_ns = from_ns;
    double cpu_before_s = cpu_s();
    int open = count;
    for (int n = 0; n < count; n++)
        say(&all[n]);
    while (open) {
        int some = epoll_wait(poll, ready, count, 30000);
        if (some <= 0)
            die(some ? "epoll_wait" : "no answer for 30 s");
        for (int n = 0; n < some; n++) {
            struct connection *one = ready[n].data.ptr;
            if (!hear(one))
                continue;
            int64_t heard_ns = now_ns();
            if (heard_ns >= from_ns && heard_ns < until_ns && sampled < MOST_SAMPLES) {
                samples[sampled++] = (heard_ns - one->sent_ns) / 1000;
                last_ns = heard_ns;
            }
            if (heard_ns < until_ns)
                say(one);
            else
                open--;
        }
    }
    double took_s = (last_ns - from_ns) / 1e9;
    qsort(samples, sampled, sizeof *samples, by_size);
    printf("{\"kind\": \"%s\", \"connections\": %d, \"pipelined\": %d, \"requests\": %zu, \"seconds\": %.3f, "
           "\"per_s\": %.1f, \"p50_us\": %u, \"p95_us\": %u, \"p99_us\": %u, \"max_us\": %u, \"cpu_s\": %.3f}\n",
           kind->name, count, pipelined, sampled * pipelined, took_s, took_s > 0 ? sampled * pipelined / took_s : 0,
           at(0.5), at(0.95), at(0.99), at(1), cpu_s() - cpu_before_s);
    return 0;
}
