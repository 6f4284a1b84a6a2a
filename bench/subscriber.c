/* Many WebSocket subscribers in one process, for load that no Python client could take.
 *
 *     subscriber PROTOCOL PORT PATH SUBPROTOCOL COUNT RECEIVE_BUFFER STAMP GROUPS MESSAGE...
 *
 * PROTOCOL is sensord, nats or mqtt: how replies are read. Each MESSAGE is hex and is sent, in
 * order, on every connection once it is upgraded. RECEIVE_BUFFER is SO_RCVBUF, 0 for the system's.
 * STAMP says where a reading's source time stands: "time" (sensord's own time), or "value" (the
 * value is the time in microseconds). Peers have "TIME VALUE" as payload. In a message "@@@@" stands
 * for a number below GROUPS, which the connections get in turn.
 *
 * "ready" is printed once every connection receives live readings, or would. Then each character
 * on stdin is a command: "m" begins a new window, "t" tells what the window had, as one line of
 * JSON; the end of stdin ends the process. Latencies are from the source time to the return of
 * read(2), both on the wall clock of one machine.
 *
 * Losses: a sensord subscription to everything must advance its cursor by exactly the readings of
 * each frame; "missing" and "doubled" are what it did not. Peers have no cursor: compare the totals.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
typedef struct { u8 *data; size_t size, capacity; } Bytes;

typedef struct {
    int fd;
    int is_ready;
    int has_cursor;
    int64_t cursor;
    int64_t total;   /* readings since the connection was made */
    Bytes frames;    /* an incomplete WebSocket frame */
    Bytes stream;    /* peers: an incomplete message of the protocol inside */
} Connection;

enum { SENSORD, NATS, MQTT } protocol;
static int stamp_is_value;
static int count_ready;

#define SLOTS 4000001 /* one a microsecond, up to four seconds */
static uint32_t histogram[SLOTS];
static struct { int64_t readings, frames, bytes, missing, doubled, worst_us; double begun; } window;

static void fail(const char *what) { perror(what); exit(1); }

static double monotonic_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void append(Bytes *to, const u8 *data, size_t size) {
    if (to->size + size > to->capacity) {
        to->capacity = (to->size + size) * 2;
        if (!(to->data = realloc(to->data, to->capacity))) fail("realloc");
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void consume(Bytes *from, size_t size) {
    memmove(from->data, from->data + size, from->size - size);
    from->size -= size;
}

static void send_all(int fd, const u8 *data, size_t size) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0) {
            if (errno != EAGAIN) return; /* the peer is gone; read(2) will say so */
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, 1000);
            continue;
        }
        data += n, size -= n;
    }
}

/* A masked frame, as clients must send; a mask of zeros is one, too. */
static void send_frame(int fd, int opcode, const u8 *payload, size_t size) {
    u8 head[14] = {0x80 | opcode};
    size_t n = 2;
    if (size < 126) head[1] = 0x80 | size;
    else head[1] = 0x80 | 126, head[2] = size >> 8, head[3] = size, n = 4;
    memset(head + n, 0, 4);
    Bytes whole = {0};
    append(&whole, head, n + 4);
    append(&whole, payload, size);
    send_all(fd, whole.data, whole.size);
    free(whole.data);
}

static void reading(Connection *c, int64_t source_us, int64_t now_us) {
    int64_t late = now_us - source_us;
    c->total++, window.readings++;
    if (late > window.worst_us) window.worst_us = late;
    histogram[late < 0 ? 0 : late >= SLOTS ? SLOTS - 1 : late]++;
}

static void ready(Connection *c) {
    if (!c->is_ready) c->is_ready = 1, count_ready++;
}

/* -- msgpack, as much as frames need ------------------------------------------------------------ */

static uint64_t big_endian(const u8 *p, int bytes) {
    uint64_t n = 0;
    while (bytes--) n = n << 8 | *p++;
    return n;
}

/* Read one plain number; returns what follows, or NULL if it is something else. */
static const u8 *number(const u8 *p, int64_t *integer) {
    u8 c = *p++;
    if (c < 0x80) return *integer = c, p;
    if (c >= 0xe0) return *integer = (int8_t)c, p;
    switch (c) {
    case 0xcb: {
        uint64_t bits = big_endian(p, 8);
        double real;
        memcpy(&real, &bits, 8);
        return *integer = real, p + 8;
    }
    case 0xcc: return *integer = *p, p + 1;
    case 0xcd: return *integer = big_endian(p, 2), p + 2;
    case 0xce: return *integer = big_endian(p, 4), p + 4;
    case 0xcf: return *integer = big_endian(p, 8), p + 8;
    case 0xd0: return *integer = (int8_t)*p, p + 1;
    case 0xd1: return *integer = (int16_t)big_endian(p, 2), p + 2;
    case 0xd2: return *integer = (int32_t)big_endian(p, 4), p + 4;
    case 0xd3: return *integer = big_endian(p, 8), p + 8;
    }
    return NULL;
}

static const u8 *skip(const u8 *p);

static const u8 *skip_many(const u8 *p, uint64_t count) {
    while (count--) p = skip(p);
    return p;
}

static const u8 *skip(const u8 *p) {
    int64_t ignored;
    const u8 *after = number(p, &ignored);
    if (after) return after;
    u8 c = *p++;
    if (c < 0x90) return skip_many(p, 2 * (c & 15));
    if (c < 0xa0) return skip_many(p, c & 15);
    if (c < 0xc0) return p + (c & 31);
    switch (c) {
    case 0xc0: case 0xc2: case 0xc3: return p;
    case 0xc4: case 0xd9: return p + 1 + *p;
    case 0xc5: case 0xda: return p + 2 + big_endian(p, 2);
    case 0xc6: case 0xdb: return p + 4 + big_endian(p, 4);
    case 0xc7: return p + 2 + *p;
    case 0xc8: return p + 3 + big_endian(p, 2);
    case 0xc9: return p + 5 + big_endian(p, 4);
    case 0xca: return p + 4;
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return p + 1 + (1 << (c - 0xd4));
    case 0xdc: return skip_many(p + 2, big_endian(p, 2));
    case 0xdd: return skip_many(p + 4, big_endian(p, 4));
    case 0xde: return skip_many(p + 2, 2 * big_endian(p, 2));
    case 0xdf: return skip_many(p + 4, 2 * big_endian(p, 4));
    }
    fprintf(stderr, "not msgpack: %02x\n", c);
    exit(1);
}

/* [stream, cursor, t0, [channel, dt, value, ...]] */
static void sensord_message(Connection *c, const u8 *p, size_t size, int64_t now_us) {
    if (*p != 0x94) { /* a control message */
        if (memmem(p, size, "\xa4live", 5)) ready(c);
        return;
    }
    int64_t cursor, told_us, dt, value = 0, items;
    p = skip(p + 1);
    int is_snapshot = *p == 0xc0;
    if (is_snapshot) p++;
    else p = number(p, &cursor);
    p = number(p, &told_us);
    u8 head = *p++;
    if ((head & 0xf0) == 0x90) items = head & 15;
    else if (head == 0xdc) items = big_endian(p, 2), p += 2;
    else items = big_endian(p, 4), p += 4;
    if (is_snapshot) return;
    if (c->has_cursor) {
        int64_t wrong = cursor - c->cursor - items / 3;
        if (wrong > 0) window.missing += wrong;
        if (wrong < 0) window.doubled -= wrong;
    }
    c->cursor = cursor, c->has_cursor = 1;
    window.frames++;
    for (int64_t i = 0; i < items; i += 3) {
        p = number(skip(p), &dt);
        told_us += dt;
        const u8 *after = number(p, &value);
        reading(c, stamp_is_value ? value : told_us, now_us);
        p = after ? after : skip(p);
    }
}

/* -- the peers: text or packets, anyhow cut into WebSocket messages ----------------------------- */

static void peer_reading(Connection *c, const u8 *payload, int64_t now_us) {
    window.frames++;
    reading(c, strtoll((const char *)payload, NULL, 10), now_us);
}

static void nats_stream(Connection *c, int64_t now_us) {
    Bytes *s = &c->stream;
    size_t at = 0;
    for (;;) {
        u8 *line = s->data + at, *end = memchr(line, '\n', s->size - at);
        if (!end) break;
        size_t length = end - line + 1;
        if (!memcmp(line, "MSG ", 4)) {
            u8 *space = end;
            while (*space != ' ') space--;
            size_t payload = strtoul((char *)space + 1, NULL, 10) + 2;
            if (s->size - at < length + payload) break;
            peer_reading(c, end + 1, now_us);
            length += payload;
        } else if (!memcmp(line, "PING", 4)) {
            send_frame(c->fd, 2, (const u8 *)"PONG\r\n", 6);
        } else if (!memcmp(line, "PONG", 4)) {
            ready(c);
        } else if (!memcmp(line, "-ERR", 4)) {
            fprintf(stderr, "%.*s\n", (int)length, line);
        }
        at += length;
    }
    consume(s, at);
}

static void mqtt_stream(Connection *c, int64_t now_us) {
    Bytes *s = &c->stream;
    size_t at = 0;
    while (s->size - at >= 2) {
        u8 *packet = s->data + at;
        size_t n = 1, length = 0;
        for (int shift = 0; n < s->size - at; shift += 7) {
            length |= (size_t)(packet[n] & 127) << shift;
            if (!(packet[n++] & 128)) break;
        }
        if ((packet[n - 1] & 128) || s->size - at < n + length) break;
        if (packet[0] >> 4 == 9) ready(c);
        if (packet[0] >> 4 == 3) peer_reading(c, packet + n + 2 + big_endian(packet + n, 2), now_us);
        at += n + length;
    }
    consume(s, at);
}

/* -- WebSocket ----------------------------------------------------------------------------------- */

static void message(Connection *c, const u8 *payload, size_t size, int64_t now_us) {
    if (!size) return;
    if (protocol == SENSORD) {
        sensord_message(c, payload, size, now_us);
        return;
    }
    append(&c->stream, payload, size);
    if (protocol == NATS) nats_stream(c, now_us);
    else mqtt_stream(c, now_us);
}

/* Handle the whole frames of what was received; returns how many bytes they took. */
static size_t received(Connection *c, const u8 *p, size_t size, int64_t now_us) {
    size_t at = 0;
    while (size - at >= 2) {
        const u8 *frame = p + at;
        size_t head = 2, length = frame[1] & 127;
        if (length == 126) head = 4;
        if (length == 127) head = 10;
        if (size - at < head) break;
        if (head > 2) length = big_endian(frame + 2, head - 2);
        if (size - at < head + length) break;
        int opcode = frame[0] & 15;
        if (opcode == 9) send_frame(c->fd, 10, frame + head, length);
        else if (opcode < 3) message(c, frame + head, length, now_us);
        at += head + length;
    }
    return at;
}

static void take(Connection *c, const u8 *data, size_t size) {
    int64_t now_us = wall_us();
    window.bytes += size;
    if (c->frames.size) {
        append(&c->frames, data, size);
        consume(&c->frames, received(c, c->frames.data, c->frames.size, now_us));
    } else {
        size_t used = received(c, data, size, now_us);
        append(&c->frames, data + used, size - used);
    }
}

static void open_connection(Connection *c, int port, const char *path, const char *sub, int buffer) {
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) fail("socket");
    if (buffer) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (connect(c->fd, (void *)&address, sizeof address)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char request[1024];
    int n = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: %s\r\n\r\n", path, port, sub);
    if (!*sub) n -= strlen("Sec-WebSocket-Protocol: \r\n\r\n"), n += sprintf(request + n, "\r\n");
    send_all(c->fd, (u8 *)request, n);
    Bytes answer = {0};
    for (u8 chunk[2048];;) {
        ssize_t got = read(c->fd, chunk, sizeof chunk);
        if (got <= 0) fail("no answer to the upgrade");
        append(&answer, chunk, got);
        u8 *end = memmem(answer.data, answer.size, "\r\n\r\n", 4);
        if (!end) continue;
        if (memcmp(answer.data, "HTTP/1.1 101", 12)) {
            fprintf(stderr, "%.*s\n", (int)answer.size, answer.data);
            exit(1);
        }
        size_t head = end + 4 - answer.data;
        if (answer.size > head) take(c, end + 4, answer.size - head);
        break;
    }
    free(answer.data);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

/* -- the window ---------------------------------------------------------------------------------- */

static void mark(void) {
    memset(&window, 0, sizeof window);
    memset(histogram, 0, sizeof histogram);
    window.begun = monotonic_s();
}

static int64_t quantile(double share) {
    int64_t wanted = window.readings * share, seen = 0;
    for (int64_t us = 0; us < SLOTS; us++)
        if ((seen += histogram[us]) > wanted) return us;
    return 0;
}

static void tell(Connection *all, int count, int alive) {
    int64_t least = INT64_MAX, most = 0, total = 0;
    for (int i = 0; i < count; i++) {
        total += all[i].total;
        if (all[i].total < least) least = all[i].total;
        if (all[i].total > most) most = all[i].total;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
    printf("{\"alive\": %d, \"seconds\": %.6f, \"readings\": %ld, \"frames\": %ld, \"bytes\": %ld, "
           "\"missing\": %ld, \"doubled\": %ld, \"p50_us\": %ld, \"p99_us\": %ld, \"max_us\": %ld, "
           "\"total\": %ld, \"total_least\": %ld, \"total_most\": %ld, \"cpu_s\": %.3f}\n",
        alive, monotonic_s() - window.begun, window.readings, window.frames, window.bytes,
        window.missing, window.doubled, quantile(0.5), quantile(0.99), window.worst_us, total, least,
        most, cpu_s);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 9) {
        fprintf(stderr, "usage: see the head of subscriber.c\n");
        return 2;
    }
    protocol = !strcmp(argv[1], "sensord") ? SENSORD : !strcmp(argv[1], "nats") ? NATS : MQTT;
    int port = atoi(argv[2]), count = atoi(argv[5]), buffer = atoi(argv[6]), alive = count;
    unsigned groups = atoi(argv[8]);
    stamp_is_value = !strcmp(argv[7], "value");
    Connection *all = calloc(count, sizeof *all);
    int events = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(events, EPOLL_CTL_ADD, STDIN_FILENO, &wanted);
    mark();
    for (int i = 0; i < count; i++) {
        open_connection(&all[i], port, argv[3], argv[4], buffer);
        for (int m = 9; m < argc; m++) {
            size_t size = strlen(argv[m]) / 2;
            u8 *bytes = malloc(size);
            for (size_t b = 0; b < size; b++) sscanf(argv[m] + 2 * b, "%2hhx", &bytes[b]);
            char group[5];
            snprintf(group, sizeof group, "%04u", i % groups % 10000u);
            u8 *mark = memmem(bytes, size, "@@@@", 4);
            if (mark) memcpy(mark, group, 4);
            send_frame(all[i].fd, 2, bytes, size);
            free(bytes);
        }
        wanted.data.ptr = &all[i];
        epoll_ctl(events, EPOLL_CTL_ADD, all[i].fd, &wanted);
    }
    static u8 chunk[1 << 18];
    struct epoll_event happened[256];
    for (int is_told = 0;;) {
        int n = epoll_wait(events, happened, 256, -1);
        for (int i = 0; i < n; i++) {
            Connection *c = happened[i].data.ptr;
            if (!c) {
                char commands[64];
                ssize_t got = read(STDIN_FILENO, commands, sizeof commands);
                if (got <= 0) return 0;
                for (ssize_t at = 0; at < got; at++)
                    if (commands[at] == 'm') mark();
                    else if (commands[at] == 't') tell(all, count, alive);
                continue;
            }
            ssize_t got = read(c->fd, chunk, sizeof chunk);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) {
                epoll_ctl(events, EPOLL_CTL_DEL, c->fd, NULL);
                alive--;
            } else {
                take(c, chunk, got);
            }
        }
        if (!is_told && count_ready == count) {
            is_told = 1;
            printf("ready\n");
            fflush(stdout);
        }
    }
}
