/* The load generator: many WebSockets, one thread, every delivery checked.
 *
 * Owns: sending prepared frames by a window or a rate, reading, what each line has had of each writer, times.
 * Does not know: handshakes (bench/dialects.py has made them), or what a server is called.
 *
 * A writer types single runs of `units` ASCII characters, each behind its last one, under its own Yjs client id. So a
 * line has an update when the clock of that client has passed it, whether it came alone or joined with others. For
 * each run of text that comes, clock, origin and content are compared with what was sent; where the writer types
 * anywhere, the origin is left to the comparison of texts at the end.
 *
 * An update is in flight from its send until the slowest of its room has it: the same for every server.
 *
 * Built as a shared library by bench/build.py, called by bench/pump.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (1 << 18)
#define EVENTS 512
#define OPCODE_TEXT 1
#define OPCODE_BINARY 2
#define OPCODE_CLOSE 8
#define OPCODE_PING 9
#define STRUCT_GC 0
#define STRUCT_DELETED 1
#define STRUCT_STRING 4
#define STRUCT_SKIP 10

/* -- what bench/pump.py hands over; the two are kept alike by hand */

struct stream { /* frames that are sent in order */
    const uint8_t *frames;
    const uint64_t *ends; /* the byte after each */
    uint64_t count;
    double every_s; /* between two; 0: as the window allows */
    double first_s; /* after the start */
};

struct line {
    int32_t fd, room;
    const uint8_t *early; /* bytes that came during the handshake and are not read yet */
    uint64_t early_bytes;
    struct stream presence;
};

struct writer {
    int32_t line, room;
    const uint8_t *text; /* all that it types */
    struct stream updates;
    uint64_t counted_before; /* frames of its line that `saved` counts besides */
};

struct room {
    const uint8_t *head; /* in front of an update's length */
    const uint8_t *part_head; /* in front of a part's bytes left; NULL where messages are whole */
    uint64_t head_bytes, part_head_bytes;
    int32_t first_writer, writers, first_line, lines; /* neighbours in their tables */
};

struct plan {
    struct line *lines;
    struct writer *writers;
    struct room *rooms;
    int32_t line_count, writer_count, room_count, recorded_line;
    int32_t is_scattered, tells_saved; /* whether origins are anywhere; whether `saved` must come for each update */
    int32_t server_clock, unused; /* the clock of the server's CPU, as clock_gettime(2) knows it */
    uint64_t first_client, units, window;
    double settle_s; /* nothing may have come for so long before the start: what joining brought is over */
    double seconds, drain_s;
    float *delivery_us, *saved_us; /* samples; NULL: none wanted */
    uint64_t delivery_max, saved_max;
    uint8_t *record; /* updates that one line had, each behind its length in four bytes */
    uint64_t record_max;
};

struct outcome {
    uint64_t sent, completed, deliveries, delivery_samples, saved_samples, record_bytes;
    uint64_t bytes_in, bytes_out, receives, sends, other_frames, presence_sent, updates_in;
    uint64_t recorded_sent; /* updates that the recorded line sent itself */
    double server_cpu_s, elapsed_s, loop_s, idle_s; /* idle: turns in which nothing came or went */
    char complaint[240];
};

/* -- the state of a run */

struct reader { /* a line while it is read */
    uint8_t *held, *parts; /* an unfinished frame; an unfinished message in parts */
    uint64_t held_bytes, held_room, parts_bytes, parts_room;
    uint64_t *next; /* by writer of its room: the clock that comes next */
    uint64_t presence_sent, presence_at;
    int wants_out;
};

struct typing { /* a writer while it types */
    uint64_t begun, at, completed, saved; /* updates begun; bytes sent; updates that all have; updates told saved */
    uint32_t *reached;
    double *sent_at;
};

struct run {
    struct plan *plan;
    struct outcome *out;
    struct reader *readers;
    struct typing *typing;
    uint8_t *buffer;
    double start, last, now;
    int epoll, is_over;
};

static double seconds_of(clockid_t clock) {
    struct timespec t = {0, 0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds_now(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

static int complain(struct run *r, int line, const char *what) {
    if (!r->out->complaint[0])
        snprintf(r->out->complaint, sizeof r->out->complaint, "line %d: %s", line, what);
    return -1;
}

/* -- reading Yjs */

struct bytes { const uint8_t *at, *end; };

static uint64_t varuint(struct bytes *b) {
    uint64_t value = 0;
    for (int shift = 0; b->at < b->end && shift < 63; shift += 7) {
        uint8_t byte = *b->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    b->at = b->end + 1; /* seen by whoever asks for what follows */
    return 0;
}

static int take_run(struct run *r, int line, uint64_t client, uint64_t clock, const uint8_t *content, uint64_t units,
                    int is_behind) {
    struct plan *p = r->plan;
    uint64_t index = client - p->first_client;
    if (index >= (uint64_t)p->writer_count)
        return 0; /* what was in the document before */
    struct writer *w = &p->writers[index];
    struct room *room = &p->rooms[w->room];
    struct typing *typing = &r->typing[index];
    if (w->line == line)
        return 0; /* its own, echoed */
    if (p->lines[line].room != w->room)
        return complain(r, line, "an update of another room");
    uint64_t *next = &r->readers[line].next[(int64_t)index - room->first_writer];
    if (clock != *next)
        return complain(r, line, clock > *next ? "an update is missing" : "an update came twice");
    if (units % p->units || !(is_behind || p->is_scattered) || memcmp(content, w->text + clock, units) != 0)
        return complain(r, line, "an update is not what was sent");
    *next += units;
    uint32_t others = (uint32_t)room->lines - 1;
    for (uint64_t number = clock / p->units; number < *next / p->units; number++) {
        if (++typing->reached[number] == others)
            typing->completed = number + 1;
        if (p->delivery_us && r->out->delivery_samples < p->delivery_max)
            p->delivery_us[r->out->delivery_samples++] = (float)((r->now - typing->sent_at[number]) * 1e6);
        r->out->deliveries++;
    }
    r->last = r->now;
    return 0;
}

static int take_update(struct run *r, int line, struct bytes b) {
    struct outcome *out = r->out;
    if (line == r->plan->recorded_line) {
        uint32_t length = (uint32_t)(b.end - b.at);
        if (out->record_bytes + 4 + length > r->plan->record_max)
            return complain(r, line, "more updates than are recorded");
        memcpy(r->plan->record + out->record_bytes, &length, 4);
        memcpy(r->plan->record + out->record_bytes + 4, b.at, length);
        out->record_bytes += 4 + length;
    }
    out->updates_in++;
    for (uint64_t blocks = varuint(&b); blocks > 0; blocks--) {
        uint64_t structs = varuint(&b), client = varuint(&b), clock = varuint(&b);
        for (; structs > 0 && b.at < b.end; structs--) {
            uint8_t info = *b.at++;
            int kind = info & 0x1F, is_behind = clock == 0;
            if (kind == STRUCT_GC || kind == STRUCT_SKIP) {
                clock += varuint(&b);
                continue;
            }
            if (info & 0x80) {
                uint64_t origin = varuint(&b);
                is_behind = varuint(&b) + 1 == clock && origin == client;
            }
            if (info & 0x40)
                varuint(&b), varuint(&b);
            if (!(info & 0xC0)) {
                if (varuint(&b) != 1)
                    return complain(r, line, "a parent that is no root");
                b.at += varuint(&b);
            }
            uint64_t length = varuint(&b);
            if (kind == STRUCT_STRING && b.at + length <= b.end) {
                if (take_run(r, line, client, clock, b.at, length, is_behind) < 0)
                    return -1;
                b.at += length;
            } else if (kind != STRUCT_DELETED)
                return complain(r, line, "a struct that is no text");
            clock += length;
        }
    }
    return b.at <= b.end ? 0 : complain(r, line, "an update that is cut off");
}

/* -- reading frames */

static int take_part(struct run *r, int line, struct bytes b) {
    struct reader *reader = &r->readers[line];
    uint64_t left = varuint(&b), length = (uint64_t)(b.end - b.at);
    if (reader->parts_bytes + length > reader->parts_room) {
        reader->parts_room = reader->parts_bytes + length + left;
        reader->parts = realloc(reader->parts, reader->parts_room);
    }
    memcpy(reader->parts + reader->parts_bytes, b.at, length);
    reader->parts_bytes += length;
    if (left)
        return 0;
    struct bytes whole = {reader->parts + 2, reader->parts + reader->parts_bytes}; /* behind "sync", "update" */
    reader->parts_bytes = 0;
    varuint(&whole);
    return take_update(r, line, whole);
}

static int take_saved(struct run *r, int line, const uint8_t *text, uint64_t length) {
    static const char head[] = "{\"type\":\"saved\",\"count\":";
    struct plan *p = r->plan;
    if (length < sizeof head || memcmp(text, head, sizeof head - 1) != 0)
        return 0;
    uint64_t count = 0;
    for (const uint8_t *at = text + sizeof head - 1; at < text + length && *at >= '0' && *at <= '9'; at++)
        count = count * 10 + (uint64_t)(*at - '0');
    struct room *room = &p->rooms[p->lines[line].room];
    for (int index = room->first_writer; index < room->first_writer + room->writers; index++) {
        if (p->writers[index].line != line)
            continue;
        struct typing *typing = &r->typing[index];
        if (count > typing->begun + p->writers[index].counted_before)
            return complain(r, line, "more is told saved than was sent");
        for (; typing->saved + p->writers[index].counted_before < count; typing->saved++)
            if (p->saved_us && r->out->saved_samples < p->saved_max)
                p->saved_us[r->out->saved_samples++] = (float)((r->now - typing->sent_at[typing->saved]) * 1e6);
    }
    return 0;
}

static int take_frame(struct run *r, int line, int opcode, const uint8_t *payload, uint64_t length) {
    struct room *room = &r->plan->rooms[r->plan->lines[line].room];
    struct bytes b = {payload, payload + length};
    if (opcode == OPCODE_BINARY) {
        if (length > room->head_bytes && memcmp(payload, room->head, room->head_bytes) == 0) {
            b.at += room->head_bytes;
            if (varuint(&b) != (uint64_t)(b.end - b.at))
                return complain(r, line, "a message is not as long as it says");
            return take_update(r, line, b);
        }
        if (room->part_head && length > room->part_head_bytes &&
            memcmp(payload, room->part_head, room->part_head_bytes) == 0) {
            b.at += room->part_head_bytes;
            return take_part(r, line, b);
        }
        r->out->other_frames++;
    } else if (opcode == OPCODE_TEXT) {
        return take_saved(r, line, payload, length);
    } else if (opcode == OPCODE_PING) {
        uint8_t pong[131] = {0x8A, (uint8_t)(0x80 | length)}; /* a mask of zeros is legal */
        memcpy(pong + 6, payload, length);
        if (send(r->plan->lines[line].fd, pong, length + 6, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return complain(r, line, "a pong could not be sent");
    } else if (opcode == OPCODE_CLOSE) {
        char what[160];
        unsigned code = length >= 2 ? (unsigned)(payload[0] << 8 | payload[1]) : 0;
        snprintf(what, sizeof what, "closed with %u %.*s", code, length > 2 ? (int)length - 2 : 0, payload + 2);
        return complain(r, line, what);
    }
    return 0;
}

/* Takes the whole frames at the front; returns how many bytes they were, or -1. */
static int64_t take_frames(struct run *r, int line, const uint8_t *data, uint64_t length) {
    uint64_t at = 0;
    while (length - at >= 2) {
        uint64_t size = data[at + 1] & 0x7F, head = 2;
        if (size == 126) {
            head = 4;
            if (length - at < head)
                break;
            size = (uint64_t)data[at + 2] << 8 | data[at + 3];
        } else if (size == 127) {
            head = 10;
            if (length - at < head)
                break;
            size = 0;
            for (int i = 2; i < 10; i++)
                size = size << 8 | data[at + i];
        }
        if (length - at - head < size)
            break;
        if (!(data[at] & 0x80))
            return complain(r, line, "a fragment");
        if (take_frame(r, line, data[at] & 0x0F, data + at + head, size) < 0)
            return -1;
        at += head + size;
    }
    return (int64_t)at;
}

static int hold(struct reader *reader, const uint8_t *data, uint64_t length) {
    if (length > reader->held_room) {
        reader->held_room = length * 2;
        reader->held = realloc(reader->held, reader->held_room);
        if (!reader->held)
            return -1;
    }
    memmove(reader->held, data, length);
    reader->held_bytes = length;
    return 0;
}

static int take_bytes(struct run *r, int line, uint8_t *data, uint64_t length) {
    int64_t used = take_frames(r, line, data, length);
    if (used < 0)
        return -1;
    return hold(&r->readers[line], data + used, length - (uint64_t)used);
}

static int read_line(struct run *r, int line) {
    struct reader *reader = &r->readers[line];
    uint64_t kept = reader->held_bytes;
    static uint8_t *large; /* for frames above a read */
    static uint64_t large_room;
    uint8_t *data = r->buffer;
    if (kept + READ_BYTES > 2 * READ_BYTES) {
        if (large_room < kept + READ_BYTES) {
            large_room = 2 * kept + READ_BYTES;
            large = realloc(large, large_room);
        }
        data = large;
    }
    memcpy(data, reader->held, kept);
    ssize_t count = recv(r->plan->lines[line].fd, data + kept, READ_BYTES, MSG_DONTWAIT);
    if (count < 0)
        return errno == EAGAIN ? 0 : complain(r, line, strerror(errno));
    if (count == 0)
        return complain(r, line, "the connection ended");
    r->now = seconds_now();
    r->out->receives++;
    r->out->bytes_in += (uint64_t)count;
    return take_bytes(r, line, data, kept + (uint64_t)count);
}

/* -- sending */

static void want_out(struct run *r, int line, int is_wanted) {
    if (r->readers[line].wants_out == is_wanted)
        return;
    r->readers[line].wants_out = is_wanted;
    struct epoll_event event = {EPOLLIN | (is_wanted ? EPOLLOUT : 0), {.u32 = (uint32_t)line}};
    epoll_ctl(r->epoll, EPOLL_CTL_MOD, r->plan->lines[line].fd, &event);
}

/* Sends from byte `*at` to the end of frame `upto`; what does not fit goes when the line has room. */
static int push(struct run *r, int line, const struct stream *stream, uint64_t *at, uint64_t upto) {
    uint64_t end = upto ? stream->ends[upto - 1] : 0;
    while (*at < end) {
        ssize_t count = send(r->plan->lines[line].fd, stream->frames + *at, end - *at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) {
            if (errno != EAGAIN)
                return complain(r, line, strerror(errno));
            want_out(r, line, 1);
            return 0;
        }
        r->out->sends++;
        r->out->bytes_out += (uint64_t)count;
        *at += (uint64_t)count;
    }
    return 0;
}

static uint64_t due(const struct run *r, const struct stream *stream) {
    double since = r->now - r->start - stream->first_s;
    if (since < 0)
        return 0;
    uint64_t count = (uint64_t)(since / stream->every_s) + 1;
    return count < stream->count ? count : stream->count;
}

static int type_on(struct run *r, int index) {
    struct writer *w = &r->plan->writers[index];
    struct typing *typing = &r->typing[index];
    uint64_t upto = typing->begun;
    if (!r->is_over) {
        upto = w->updates.every_s > 0 ? due(r, &w->updates) : typing->completed + r->plan->window;
        if (upto > w->updates.count)
            upto = w->updates.count;
    }
    for (; typing->begun < upto; typing->begun++) /* at a pace, what is sent late was due all the same */
        typing->sent_at[typing->begun] =
            w->updates.every_s > 0 ? r->start + w->updates.first_s + (double)typing->begun * w->updates.every_s : r->now;
    return push(r, w->line, &w->updates, &typing->at, typing->begun);
}

static int move_caret(struct run *r, int line) {
    struct stream *stream = &r->plan->lines[line].presence;
    struct reader *reader = &r->readers[line];
    if (!r->is_over && stream->count) {
        uint64_t upto = due(r, stream);
        r->out->presence_sent += upto - reader->presence_sent;
        reader->presence_sent = upto;
    }
    return push(r, line, stream, &reader->presence_at, reader->presence_sent);
}

static int send_all(struct run *r) {
    r->now = seconds_now();
    for (int index = 0; index < r->plan->writer_count; index++)
        if (type_on(r, index) < 0)
            return -1;
    for (int line = 0; line < r->plan->line_count; line++)
        if (r->plan->lines[line].presence.count && move_caret(r, line) < 0)
            return -1;
    return 0;
}

/* -- a run */

static int is_done(const struct run *r) {
    for (int index = 0; index < r->plan->writer_count; index++)
        if (r->typing[index].completed < r->typing[index].begun ||
            (r->plan->tells_saved && r->typing[index].saved < r->typing[index].begun))
            return 0;
    return 1;
}

static int prepare(struct run *r) {
    struct plan *p = r->plan;
    r->readers = calloc((size_t)p->line_count, sizeof *r->readers);
    r->typing = calloc((size_t)p->writer_count, sizeof *r->typing);
    r->buffer = malloc(2 * READ_BYTES);
    r->epoll = epoll_create1(0);
    for (int index = 0; index < p->writer_count; index++) {
        r->typing[index].reached = calloc(p->writers[index].updates.count, sizeof(uint32_t));
        r->typing[index].sent_at = calloc(p->writers[index].updates.count, sizeof(double));
    }
    for (int line = 0; line < p->line_count; line++) {
        struct epoll_event event = {EPOLLIN, {.u32 = (uint32_t)line}};
        r->readers[line].next = calloc((size_t)p->rooms[p->lines[line].room].writers + 1, sizeof(uint64_t));
        if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->lines[line].fd, &event) < 0)
            return complain(r, line, strerror(errno));
        if (p->lines[line].early_bytes &&
            take_bytes(r, line, (uint8_t *)p->lines[line].early, p->lines[line].early_bytes) < 0)
            return -1;
    }
    return 0;
}

static void release(struct run *r) {
    for (int line = 0; line < r->plan->line_count; line++) {
        free(r->readers[line].next);
        free(r->readers[line].held);
        free(r->readers[line].parts);
    }
    for (int index = 0; index < r->plan->writer_count; index++) {
        free(r->typing[index].reached);
        free(r->typing[index].sent_at);
    }
    close(r->epoll);
    free(r->readers);
    free(r->typing);
    free(r->buffer);
}

/* Reads lines that have news; returns how many had, or -1. It never sleeps: what waking it costs is not the server's. */
static int turn(struct run *r) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(r->epoll, events, EVENTS, 0);
    r->now = seconds_now();
    for (int i = 0; i < count; i++) {
        int line = (int)events[i].data.u32;
        if (events[i].events & EPOLLOUT)
            want_out(r, line, 0);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && read_line(r, line) < 0)
            return -1;
    }
    return count;
}

static int settle(struct run *r) {
    double quiet_since = seconds_now(), give_up = quiet_since + r->plan->drain_s;
    while (seconds_now() - quiet_since < r->plan->settle_s) {
        int count = turn(r);
        if (count < 0)
            return -1;
        if (count > 0)
            quiet_since = r->now;
        if (r->now > give_up)
            return complain(r, -1, "it never became quiet");
    }
    return 0;
}

int pump(struct plan *plan, struct outcome *out) {
    struct run run = {.plan = plan, .out = out}, *r = &run;
    memset(out, 0, sizeof *out);
    int status = prepare(r);
    if (status == 0)
        status = settle(r);
    out->bytes_in = out->receives = out->other_frames = 0;
    double server_cpu = seconds_of(plan->server_clock);
    r->start = r->last = r->now = seconds_now();
    while (status == 0) {
        double began = r->now;
        uint64_t calls = out->sends + out->receives;
        r->is_over |= r->now - r->start > plan->seconds;
        if (send_all(r) < 0) {
            status = -1;
            break;
        }
        uint64_t left = 0;
        for (int index = 0; index < plan->writer_count; index++)
            left += plan->writers[index].updates.count - r->typing[index].begun;
        if ((r->is_over || left == 0) && is_done(r))
            break;
        if (r->now - r->start > plan->seconds + plan->drain_s)
            status = complain(r, -1, "not all had arrived in time");
        else if (turn(r) < 0)
            status = -1;
        if (calls == out->sends + out->receives)
            out->idle_s += r->now - began;
    }
    for (int index = 0; index < plan->writer_count; index++) {
        out->sent += r->typing[index].begun;
        out->completed += r->typing[index].completed;
        if (plan->writers[index].line == plan->recorded_line)
            out->recorded_sent = r->typing[index].begun;
    }
    out->server_cpu_s = seconds_of(plan->server_clock) - server_cpu;
    out->loop_s = r->now - r->start;
    out->elapsed_s = r->last - r->start;
    release(r);
    return status;
}
