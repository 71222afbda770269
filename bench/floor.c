/* What the machine allows: a relay that does nothing but relay, and what one send costs.
 *
 *   floor relay HOST PORT             a WebSocket relay in y-websocket's framing, coalescing, one thread, epoll
 *   floor sends SECONDS MEMBERS A B   72 bytes to each member in turn from core A, drained on core B
 *
 * The relay keeps no document, checks nothing and stores nothing: it is a floor, not a server. It answers a step 1
 * with an empty step 2, sends its own empty step 1 to who joins, and drops empty step 2s. Every other binary frame goes to
 * all others of the same path. What one turn of the event loop read is put into one buffer per path, and each member
 * gets one writev of it, around the frames of its own. What a socket does not take is kept, without bound.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, READ_BYTES = 256 * 1024, PIECES = 512, HEAD_BYTES_MAX = 16 * 1024, SEND_BYTES = 72 };

struct bytes {
    uint8_t *at;
    size_t length, room;
};

struct segment { /* one frame of this turn in its path's buffer */
    size_t start, end;
    int next; /* the next one of the same member; -1: none */
};

struct member {
    int fd, is_joined, is_waiting, is_gone;
    struct path *path;
    size_t place;           /* among the path's members */
    struct bytes in, out;   /* the beginning of a frame; what the socket has not taken */
    int first, last;        /* own segments of this turn */
    struct member *gone;    /* the next one to be freed */
};

struct path {
    char *name;
    struct member **members;
    size_t count, room;
    struct bytes turn;
    struct segment *segments;
    size_t segments_count, segments_room;
    int is_touched;
    struct path *next, *touched;
};

static int poller;
static struct path *paths, *touched;
static struct member *gone;
static struct bytes scratch;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *grown(void *old, size_t size) {
    void *new = realloc(old, size);
    if (new == NULL) fail("realloc");
    return new;
}

static void reserve(struct bytes *b, size_t more) {
    if (b->length + more > b->room) {
        b->room = (b->length + more) * 2;
        b->at = grown(b->at, b->room);
    }
}

static void append(struct bytes *b, const void *from, size_t length) {
    if (length == 0) return;
    reserve(b, length);
    memcpy(b->at + b->length, from, length);
    b->length += length;
}

static void append_head(struct bytes *b, int opcode, size_t length) {
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    if (length < 126) {
        head[1] = (uint8_t)length;
        append(b, head, 2);
    } else if (length < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(length >> 8);
        head[3] = (uint8_t)length;
        append(b, head, 4);
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)(length >> (56 - 8 * i));
        append(b, head, 10);
    }
}

/* -- members and paths -- */

static void watch(struct member *m, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = m};
    if (epoll_ctl(poller, operation, m->fd, &event) != 0) fail("epoll_ctl");
}

static void let_go(struct member *m) {
    if (m->is_gone) return;
    m->is_gone = 1;
    if (m->path != NULL) {
        struct member *last = m->path->members[--m->path->count];
        m->path->members[m->place] = last;
        last->place = m->place;
    }
    close(m->fd);
    m->gone = gone; /* freed after the turn: epoll may name it once more */
    gone = m;
}

static void free_gone(void) {
    while (gone != NULL) {
        struct member *m = gone;
        gone = m->gone;
        free(m->in.at);
        free(m->out.at);
        free(m);
    }
}

static struct path *path_named(const char *name, size_t length) {
    struct path *p;
    for (p = paths; p != NULL; p = p->next)
        if (strlen(p->name) == length && memcmp(p->name, name, length) == 0) return p;
    p = calloc(1, sizeof *p);
    if (p == NULL || (p->name = strndup(name, length)) == NULL) fail("calloc");
    p->next = paths;
    return paths = p;
}

static void join(struct member *m, const char *name, size_t length) {
    struct path *p = m->path = path_named(name, length);
    if (p->count == p->room) {
        p->room = p->room * 2 + 8;
        p->members = grown(p->members, p->room * sizeof *p->members);
    }
    m->place = p->count;
    p->members[p->count++] = m;
    m->is_joined = 1;
}

/* -- writing -- */

static void drain(struct member *m) {
    while (m->out.length > 0) {
        ssize_t n = send(m->fd, m->out.at, m->out.length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            let_go(m);
            return;
        }
        m->out.length -= (size_t)n;
        memmove(m->out.at, m->out.at + n, m->out.length);
    }
    int is_waiting = m->out.length > 0;
    if (is_waiting != m->is_waiting) watch(m, EPOLL_CTL_MOD, EPOLLIN | (is_waiting ? EPOLLOUT : 0));
    m->is_waiting = is_waiting;
}

static void write_pieces(struct member *m, struct iovec *pieces, int count) {
    ssize_t n = 0;
    if (!m->is_waiting && m->out.length == 0) {
        do n = writev(m->fd, pieces, count);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN) {
            let_go(m);
            return;
        }
        if (n < 0) n = 0;
    }
    for (int i = 0; i < count; i++) {
        size_t taken = (size_t)n < pieces[i].iov_len ? (size_t)n : pieces[i].iov_len;
        append(&m->out, (uint8_t *)pieces[i].iov_base + taken, pieces[i].iov_len - taken);
        n -= (ssize_t)taken;
    }
    if (m->out.length > 0 && !m->is_waiting) drain(m);
}

/* The turn's frames of its path, but for its own. */
static void write_turn(struct member *m) {
    struct path *p = m->path;
    struct iovec pieces[PIECES];
    size_t at = 0;
    int count = 0;
    for (int own = m->first;; own = p->segments[own].next) {
        size_t end = own < 0 ? p->turn.length : p->segments[own].start;
        if (end > at) pieces[count++] = (struct iovec){p->turn.at + at, end - at};
        if (count > 0 && (count == PIECES || own < 0)) {
            write_pieces(m, pieces, count);
            count = 0;
        }
        if (own < 0 || m->is_gone) break;
        at = p->segments[own].end;
    }
    m->first = m->last = -1;
}

static void end_turn(void) {
    while (touched != NULL) {
        struct path *p = touched;
        touched = p->touched;
        for (size_t i = p->count; i-- > 0;) write_turn(p->members[i]); /* backwards: one that goes is replaced by the last */
        p->turn.length = p->segments_count = 0;
        p->is_touched = 0;
    }
}

/* -- reading -- */

static void relay(struct member *m, const uint8_t *payload, size_t length) {
    struct path *p = m->path;
    if (!p->is_touched) {
        p->is_touched = 1;
        p->touched = touched;
        touched = p;
    }
    if (p->segments_count == p->segments_room) {
        p->segments_room = p->segments_room * 2 + 64;
        p->segments = grown(p->segments, p->segments_room * sizeof *p->segments);
    }
    size_t start = p->turn.length;
    append_head(&p->turn, 2, length);
    append(&p->turn, payload, length);
    int number = (int)p->segments_count++;
    if (m->last >= 0 && p->segments[m->last].end == start) { /* one gap for frames in a row */
        p->segments[m->last].end = p->turn.length;
        p->segments_count--;
        return;
    }
    p->segments[number] = (struct segment){start, p->turn.length, -1};
    if (m->last >= 0)
        p->segments[m->last].next = number;
    else
        m->first = number;
    m->last = number;
}

static void answer(struct member *m, int opcode, const void *payload, size_t length) {
    append_head(&m->out, opcode, length);
    append(&m->out, payload, length);
    drain(m);
}

static void take_frame(struct member *m, int opcode, const uint8_t *payload, size_t length) {
    static const uint8_t empty_step_2[] = {0, 1, 2, 0, 0};
    if (opcode == 8) {
        answer(m, 8, payload, length);
        let_go(m);
    } else if (opcode == 9) {
        answer(m, 10, payload, length);
    } else if (opcode == 2 && length >= 2 && payload[0] == 0 && payload[1] == 0) {
        answer(m, 2, empty_step_2, sizeof empty_step_2);
    } else if (opcode == 2 && !(length == sizeof empty_step_2 && memcmp(payload, empty_step_2, length) == 0)) {
        relay(m, payload, length);
    }
}

static void unmask(uint8_t *at, size_t length, const uint8_t key[4]) {
    uint64_t wide;
    uint32_t narrow;
    memcpy(&narrow, key, 4);
    if (narrow == 0) return;
    wide = (uint64_t)narrow << 32 | narrow;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= wide;
        memcpy(at, &word, 8);
    }
    for (size_t i = 0; i < length; i++) at[i] ^= key[i & 3];
}

/* The whole frames at the beginning; how many bytes they were. */
static size_t take_frames(struct member *m, uint8_t *at, size_t length) {
    size_t done = 0;
    while (!m->is_gone && length - done >= 6) {
        uint8_t *f = at + done;
        size_t left = length - done, size = f[1] & 0x7F, head = 2;
        if (size == 126) {
            size = (size_t)f[2] << 8 | f[3];
            head = 4;
        } else if (size == 127) {
            if (left < 10) break;
            size = 0;
            for (int i = 0; i < 8; i++) size = size << 8 | f[2 + i];
            head = 10;
        }
        if (left < head + 4 || left - head - 4 < size) break;
        unmask(f + head + 4, size, f + head);
        take_frame(m, f[0] & 0x0F, f + head + 4, size);
        done += head + 4 + size;
    }
    return done;
}

/* -- the handshake -- */

static uint32_t turned(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

/* SHA-1 (RFC 3174) of at most 119 bytes: a key and the GUID of RFC 6455 are 60. */
static void sha1(const char *text, uint8_t digest[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    static const uint32_t constants[4] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
    uint8_t blocks[128] = {0};
    size_t length = strlen(text), blocks_bytes = length < 56 ? 64 : 128;
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    blocks[blocks_bytes - 2] = (uint8_t)(length * 8 >> 8);
    blocks[blocks_bytes - 1] = (uint8_t)(length * 8);
    for (size_t block = 0; block < blocks_bytes; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const uint8_t *word = blocks + block + 4 * i;
            w[i] = (uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3];
        }
        for (int i = 16; i < 80; i++) w[i] = turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t mixed = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
            uint32_t sum = turned(a, 5) + mixed + e + constants[i / 20] + w[i];
            e = d, d = c, c = turned(b, 30), b = a, a = sum;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}

static void accept_key(const char *key, size_t length, char encoded[29]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[120];
    uint8_t digest[21] = {0};
    snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", length < 64 ? (int)length : 64, key);
    sha1(text, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) encoded[4 * i + j] = letters[three >> (18 - 6 * j) & 63];
    }
    encoded[27] = '=';
    encoded[28] = 0;
}

/* The upgrade at the beginning; how many bytes it was, 0 while it is not whole. Any other request is answered, and ends. */
static size_t take_request(struct member *m, const uint8_t *at, size_t length) {
    static const uint8_t step_1[] = {0, 0, 1, 0};
    static const char name[] = "\r\nsec-websocket-key:", okay[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const char *end = memmem(at, length, "\r\n\r\n", 4);
    char head[HEAD_BYTES_MAX + 1], encoded[29], reply[200];
    if (end == NULL) {
        if (length > HEAD_BYTES_MAX) let_go(m);
        return 0;
    }
    size_t size = (size_t)(end - (const char *)at) + 4;
    const char *key = NULL, *target = memchr(at, ' ', size);
    if (size <= HEAD_BYTES_MAX && target != NULL) {
        memcpy(head, at, size);
        head[size] = 0;
        key = strcasestr(head, name);
    }
    if (key == NULL) {
        append(&m->out, okay, sizeof okay - 1);
        drain(m);
        let_go(m);
        return size;
    }
    key += sizeof name - 1;
    key += strspn(key, " ");
    accept_key(key, strcspn(key, " \r"), encoded);
    int reply_bytes = snprintf(reply, sizeof reply,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", encoded);
    append(&m->out, reply, (size_t)reply_bytes);
    join(m, target + 1, strcspn(target + 1, " ?"));
    answer(m, 2, step_1, sizeof step_1);
    return size;
}

static void read_from(struct member *m) {
    scratch.length = 0;
    append(&scratch, m->in.at, m->in.length);
    m->in.length = 0;
    reserve(&scratch, READ_BYTES);
    ssize_t n = read(m->fd, scratch.at + scratch.length, READ_BYTES);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        let_go(m);
        return;
    }
    size_t length = scratch.length + (n > 0 ? (size_t)n : 0), done = 0;
    if (!m->is_joined) done = take_request(m, scratch.at, length);
    if (m->is_joined) done += take_frames(m, scratch.at + done, length - done);
    if (!m->is_gone) append(&m->in, scratch.at + done, length - done);
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct member *m = calloc(1, sizeof *m);
        if (m == NULL) fail("calloc");
        m->fd = fd;
        m->first = m->last = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        watch(m, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_at(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) fail("listen");
    return fd;
}

_Noreturn static void run_relay(const char *host, int port) {
    static struct epoll_event events[EVENTS];
    int listener = listen_at(host, port);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct member *m = events[i].data.ptr;
            if (m == NULL) {
                accept_all(listener);
                continue;
            }
            if (!m->is_gone && events[i].events & EPOLLOUT) drain(m);
            if (!m->is_gone && events[i].events & ~(uint32_t)EPOLLOUT) read_from(m);
        }
        end_turn();
        free_gone();
    }
}

/* -- what one send costs -- */

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

static void drain_all(const int *fds, int members, int core) {
    static uint8_t buffer[READ_BYTES];
    static struct epoll_event events[EVENTS];
    int here = epoll_create1(0);
    pin(core);
    for (int i = 0; i < members; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(here, EPOLL_CTL_ADD, fds[i], &event);
    }
    for (;;) {
        struct timespec pause = {0, 1000000}; /* a reader that sleeps until each send would have the sender pay for waking it */
        nanosleep(&pause, NULL);
        int count = epoll_wait(here, events, EVENTS, 0);
        for (int i = 0; i < count; i++)
            if (read(events[i].data.fd, buffer, sizeof buffer) <= 0) _exit(0);
    }
}

static int measure_sends(double duration_s, int members, int core, int reader_core) {
    static uint8_t message[SEND_BYTES];
    int *senders = grown(NULL, (size_t)members * sizeof(int)), *readers = grown(NULL, (size_t)members * sizeof(int));
    int listener = listen_at("127.0.0.1", 0), yes = 1;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    for (int i = 0; i < members; i++) {
        readers[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(readers[i], (struct sockaddr *)&address, size) != 0) fail("connect");
        if ((senders[i] = accept(listener, NULL, NULL)) < 0) fail("accept");
        setsockopt(senders[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    pid_t child = fork();
    if (child == 0) drain_all(readers, members, reader_core);
    pin(core);
    double sends = 0, wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    while (seconds(CLOCK_MONOTONIC) - wall < duration_s)
        for (int i = 0; i < members; i++, sends++)
            if (send(senders[i], message, sizeof message, MSG_NOSIGNAL) != sizeof message) fail("send");
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    printf("%.4f %.4f\n", wall / sends * 1e6, cpu / sends * 1e6);
    return 0;
}

int main(int count, char **words) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (count == 4 && strcmp(words[1], "relay") == 0) run_relay(words[2], atoi(words[3]));
    if (count == 6 && strcmp(words[1], "sends") == 0)
        return measure_sends(atof(words[2]), atoi(words[3]), atoi(words[4]), atoi(words[5]));
    fputs("usage: floor relay HOST PORT | floor sends SECONDS MEMBERS CORE READER_CORE\n", stderr);
    return 2;
}
