// feedload: viewers of one URL on keep-alive connections, in one thread, as
// cheap as they can be: bodies are dropped in the kernel, TLS records are
// counted and not decrypted. So the server is what is measured (perf 0).
//
//   feedload -p PORT [-T] [-c CONNS] [-r RATE] [-t SECONDS] [-w WARMUP] [-b]
//            [-u PATH] [-n] [-P PID[,PID]] [-i]
//
// Without -r every connection asks again as soon as it has its answer; with it,
// RATE times a second at a phase of its own, and latency counts from the time
// that was planned. -n asks conditionally with the ETag of the first answer, so
// that the answers are 304. -b polls without sleeping. -P names processes whose
// CPU clock is read at both ends of the window. -i only connects, asks once and
// stays until its input ends. The answers must all have one length; every 256th
// is read and looked at. The result is one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct conn {
  int fd;
  SSL *ssl;
  size_t left;       // of the answer, before encryption; 0 while idle
  size_t record;     // left of the current record
  unsigned header;   // bytes of its header seen
  unsigned char hdr[5];
  double due;
  int look;          // this answer is read, not dropped
};

static size_t answer_size;
static char request[2048];
static size_t request_len;
static uint64_t done, bad, failed, skipped, bytes_in;
static uint64_t hist[4096]; // of latency, 8 per octave of microseconds from 1/16 on
static int measuring;

static void die(const char *what, ...) {
  va_list ap;
  va_start(ap, what);
  fprintf(stderr, "feedload: ");
  vfprintf(stderr, what, ap);
  fprintf(stderr, "\n");
  exit(1);
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

// The CPU clock of a process, with all its threads.
static double cpu_of(const char *pids) {
  double sum = 0;
  char copy[256];
  snprintf(copy, sizeof copy, "%s", pids);
  for (char *p = strtok(copy, ","); p; p = strtok(NULL, ",")) {
    struct timespec ts;
    clockid_t clock;
    if (clock_getcpuclockid(atoi(p), &clock) || clock_gettime(clock, &ts)) die("no CPU clock of process %s", p);
    sum += ts.tv_sec + ts.tv_nsec / 1e9;
  }
  return sum;
}

static unsigned bucket(double us) {
  unsigned b = 0;
  double edge = 0.0625;
  while (us >= edge * 2 && b < 4000) {
    edge *= 2;
    b += 8;
  }
  if (us > edge) b += (unsigned)((us - edge) / edge * 8);
  return b < 4095 ? b : 4095;
}

static double quantile(double q) {
  uint64_t total = 0, sum = 0;
  for (int i = 0; i < 4096; i++) total += hist[i];
  if (!total) return 0;
  for (int i = 0; i < 4096; i++)
    if ((sum += hist[i]) >= q * total) return 0.0625 * (double)(1ull << (i / 8)) * (1 + (i % 8 + 1) / 8.0);
  return 0;
}

static void set_request(const char *path, const char *etag) {
  request_len = snprintf(request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:8443\r\nConnection: keep-alive\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n"
      "Referer: https://www.example.org/\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n%s%s%s\r\n",
      path, etag ? "If-None-Match: " : "", etag ? etag : "", etag ? "\r\n" : "");
}

static int raw_read(struct conn *c, char *p, int n) { return c->ssl ? SSL_read(c->ssl, p, n) : recv(c->fd, p, n, 0); }
static int raw_write(struct conn *c, const char *p, int n) { return c->ssl ? SSL_write(c->ssl, p, n) : send(c->fd, p, n, MSG_NOSIGNAL); }

// Reads one answer completely, from a socket that blocks. Returns its length.
static size_t first_answer(struct conn *c, char *etag, size_t etag_size) {
  static char buf[1 << 20];
  size_t have = 0, want = 0;
  while (!want || have < want) {
    int n = raw_read(c, buf + have, sizeof buf - 1 - have);
    if (n <= 0) die("the first answer ended after %zu bytes", have);
    buf[have += n] = 0;
    char *end = strstr(buf, "\r\n\r\n");
    if (!want && end) {
      char *len = strcasestr(buf, "\r\nContent-Length:");
      want = end + 4 - buf + (len && len < end && strncmp(buf + 9, "304", 3) ? strtoul(len + 17, NULL, 10) : 0);
      char *chunked = strcasestr(buf, "\r\nTransfer-Encoding:");
      if (chunked && chunked < end) { // read to the last chunk
        while (have < 5 || memcmp(buf + have - 5, "0\r\n\r\n", 5)) {
          n = raw_read(c, buf + have, sizeof buf - 1 - have);
          if (n <= 0) die("a chunked answer ended early");
          have += n;
        }
        want = have;
      }
      char *tag = strcasestr(buf, "\r\nETag:");
      if (tag && tag < end && etag) {
        tag += 7;
        while (*tag == ' ') tag++;
        size_t l = strcspn(tag, "\r");
        if (l < etag_size) memcpy(etag, tag, l), etag[l] = 0;
      }
    }
  }
  if (strncmp(buf, "HTTP/1.1 200", 12) && strncmp(buf, "HTTP/1.1 304", 12)) die("answer %.40s", buf);
  return want;
}

static void ask(struct conn *c, double due) {
  c->left = answer_size;
  c->due = due;
  if (raw_write(c, request, request_len) != (int)request_len) failed++, c->left = 0;
}

// Takes what has arrived. Returns 1 once the answer is complete, -1 when the
// connection is over.
static int take(struct conn *c) {
  static char scratch[64 << 10];
  while (c->left) {
    ssize_t n;
    if (!c->ssl) {
      if (c->look) {
        n = recv(c->fd, scratch, 16, 0);
        if (n >= 9 && memcmp(scratch, "HTTP/1.1 ", 9)) bad++;
        if (n > 0) c->look = 0;
      } else {
        n = recv(c->fd, scratch, c->left, MSG_TRUNC);
      }
      if (n > 0) c->left -= n, bytes_in += n;
    } else if (c->header < 5) {
      n = recv(c->fd, c->hdr + c->header, 5 - c->header, 0);
      if (n > 0 && (c->header += n) == 5) {
        c->record = c->hdr[3] << 8 | c->hdr[4];
        size_t plain = c->record - 17;
        if (c->hdr[0] != 23 || c->record < 17 || plain > c->left) {
          bad++;
          return -1;
        }
        c->left -= plain;
      }
      if (n > 0) bytes_in += n;
      if (n > 0) continue; // the record itself comes before the answer is over
    } else {
      n = recv(c->fd, scratch, c->record, MSG_TRUNC);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n <= 0) return -1;
    if (c->ssl) {
      bytes_in += n;
      if (!(c->record -= n)) c->header = 0;
    }
  }
  while (c->ssl && c->record) { // of the last record
    ssize_t n = recv(c->fd, scratch, c->record, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      c->left = 0;
      return 0;
    }
    if (n <= 0) return -1;
    bytes_in += n;
    if (!(c->record -= n)) c->header = 0;
  }
  return 1;
}

static int by_value(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv) {
  int port = 0, conns = 1, tls = 0, busy = 0, conditional = 0, idle = 0, opt;
  double rate = 0, seconds = 1, warmup = 0.3;
  const char *path = "/latest", *pids = NULL, *host = "127.0.0.1";
  while ((opt = getopt(argc, argv, "h:p:c:r:t:w:u:P:Tbni")) != -1) switch (opt) {
      case 'h': host = optarg; break;
      case 'p': port = atoi(optarg); break;
      case 'c': conns = atoi(optarg); break;
      case 'r': rate = atof(optarg); break;
      case 't': seconds = atof(optarg); break;
      case 'w': warmup = atof(optarg); break;
      case 'u': path = optarg; break;
      case 'P': pids = optarg; break;
      case 'T': tls = 1; break;
      case 'b': busy = 1; break;
      case 'n': conditional = 1; break;
      case 'i': idle = 1; break;
      default: die("unknown option");
    }
  if (!port || conns < 1) die("-p PORT and at least one connection, please");
  SSL_CTX *ctx = NULL;
  if (tls) {
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(ctx, "X25519");
  }
  struct conn *all = calloc(conns, sizeof *all);
  int ep = epoll_create1(EPOLL_CLOEXEC);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  char etag[256] = "";
  set_request(path, NULL);
  for (int i = 0; i < conns; i++) {
    struct conn *c = &all[i];
    if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) die("socket %d: %s", i, strerror(errno));
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct linger reset = {1, 0}; // no port waits after the run
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect %d: %s", i, strerror(errno));
    if (tls) {
      c->ssl = SSL_new(ctx);
      SSL_set_fd(c->ssl, c->fd);
      if (SSL_connect(c->ssl) != 1) die("TLS handshake %d failed", i);
    }
    if (raw_write(c, request, request_len) != (int)request_len) die("first request %d", i);
    answer_size = first_answer(c, etag, sizeof etag);
    if (conditional && i == 0) {
      if (!*etag) die("no ETag in the answer");
      set_request(path, etag);
      if (raw_write(c, request, request_len) != (int)request_len) die("first request");
      answer_size = first_answer(c, NULL, 0);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
  }
  if (idle) {
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
  }
  double *phase = calloc(conns, sizeof *phase);
  srand48(1);
  for (int i = 0; i < conns; i++) phase[i] = rate ? drand48() / rate : 0;
  qsort(phase, conns, sizeof *phase, by_value);

  double start = now(), from = start + warmup, to_time = from + seconds, cpu = 0, began = 0;
  uint64_t next = 0;
  if (!rate)
    for (int i = 0; i < conns; i++) ask(&all[i], now());
  struct epoll_event events[256];
  for (;;) {
    double t = now();
    if (!measuring && t >= from) {
      measuring = 1;
      done = bytes_in = 0;
      memset(hist, 0, sizeof hist);
      began = t;
      if (pids) cpu = cpu_of(pids);
    }
    if (t >= to_time) break;
    int timeout = busy ? 0 : 1;
    if (rate) {
      for (;;) {
        double due = start + next / conns / rate + phase[next % conns];
        if (due > t) {
          // The next request is less than a millisecond away, or sleep.
          if (due - t < 0.001) timeout = 0;
          break;
        }
        struct conn *c = &all[next++ % conns];
        if (c->fd < 0 || c->left || c->record) skipped++;
        else ask(c, due);
      }
    }
    int n = epoll_wait(ep, events, 256, timeout);
    for (int i = 0; i < n; i++) {
      struct conn *c = events[i].data.ptr;
      if (c->fd < 0) continue;
      if (!c->left && !c->record) {
        char probe;
        if (recv(c->fd, &probe, 1, MSG_PEEK | MSG_DONTWAIT) == 0) failed++, close(c->fd), c->fd = -1;
        continue;
      }
      int r = take(c);
      if (r < 0) {
        failed++;
        close(c->fd);
        c->fd = -1;
      } else if (r > 0) {
        double at = now();
        hist[bucket((at - c->due) * 1e6)]++;
        if (!(++done & 255)) c->look = !c->ssl;
        if (!rate) ask(c, at);
      }
    }
  }
  double took = now() - began;
  if (pids) cpu = cpu_of(pids) - cpu;
  printf("{\"requests\":%llu,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"bytes\":%llu,\"failed\":%llu,\"bad\":%llu,\"skipped\":%llu,"
         "\"p50_us\":%.1f,\"p99_us\":%.1f,\"answer_bytes\":%zu}\n",
      (unsigned long long)done, took, cpu, (unsigned long long)bytes_in, (unsigned long long)failed, (unsigned long long)bad,
      (unsigned long long)skipped, quantile(0.5), quantile(0.99), answer_size);
  return 0;
}
