// porthole-fw: the firmware as a program of this machine. It reads its settings
// from the bytes that would be flashed, takes pictures from files, uploads them
// over TLS as a board does, and says on standard output what a board says on its
// console.
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../core/app.h"
#include "camera.h"
#include "parts.h"
#include "transport.h"

namespace {

using namespace porthole;

constexpr char kHelp[] =
    "porthole-fw: the camera firmware, on this machine\n\n"
    "  --nvs FILE         settings: an NVS partition image, or a whole flash (rig provision writes both)\n"
    "  --camera SOURCE    pictures: a folder of .jpg files, one file that is read anew each time, or - for a pipe\n"
    "  --profile NAME     firmware (default), or sketch: what boards in the field run\n"
    "  --switch FILE      the shutoff: a file that holds off or on; without it SIGUSR1 is off and SIGUSR2 on\n"
    "  --frames N         end after N uploads, failed ones included\n"
    "  --connect HOST:PORT  connect there, whatever the settings say; names and certificates stay theirs\n"
    "  --resume           offer the last TLS session to the server\n"
    "  --fix-last-kb      profile sketch without its defect\n"
    "  --color            lines in colour, as a board prints them by default\n"
    "  --led              print the status light on standard error\n\n"
    "Commands on standard input, unless it is the camera: help, status, reboot.\n";

volatile sig_atomic_t stopped = 0;

void OnSignal(int number) {
  switch (number) {
    case SIGUSR1:
      HostSwitch::off = 1;
      HostSwitch::tripped = 1;
      break;
    case SIGUSR2: HostSwitch::off = 0; break;
    default: stopped = 1; break;
  }
}

void Handle(int number) {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(number, &action, nullptr);
}

int Usage(const char* error) {
  fprintf(stderr, "error: %s\nhint: porthole-fw --help lists the options\n", error);
  return 2;
}

struct Options {
  std::string nvs, camera, line, connect;
  Settings settings;
  uint32_t frames = 0;
  bool color = false, led = false;
};

// Parse reads the command line; -1 to go on, else the exit code.
int Parse(int argc, char** argv, Options* o) {
  static const option kOptions[] = {
      {"nvs", required_argument, nullptr, 'n'},     {"camera", required_argument, nullptr, 'c'},
      {"profile", required_argument, nullptr, 'p'}, {"switch", required_argument, nullptr, 's'},
      {"frames", required_argument, nullptr, 'f'},  {"connect", required_argument, nullptr, 't'},
      {"resume", no_argument, nullptr, 'r'},        {"fix-last-kb", no_argument, nullptr, 'k'},
      {"color", no_argument, nullptr, 'o'},         {"led", no_argument, nullptr, 'l'},
      {"help", no_argument, nullptr, 'h'},          {nullptr, 0, nullptr, 0},
  };
  for (int c; (c = getopt_long(argc, argv, "h", kOptions, nullptr)) != -1;) {
    uint64_t n = 0;
    switch (c) {
      case 'n': o->nvs = optarg; break;
      case 'c': o->camera = optarg; break;
      case 's': o->line = optarg; break;
      case 'r': o->settings.resume = true; break;
      case 'k': o->settings.drop_last_kilobyte = false; break;
      case 'o': o->color = true; break;
      case 'l': o->led = true; break;
      case 't':
        o->connect = optarg;
        if (strrchr(optarg, ':') == nullptr) return Usage("--connect takes HOST:PORT");
        break;
      case 'f':
        if (!ParseUnsigned(optarg, strlen(optarg), UINT32_MAX, &n)) return Usage("--frames takes a number");
        o->frames = static_cast<uint32_t>(n);
        break;
      case 'p':
        if (strcmp(optarg, "sketch") == 0) {
          o->settings.profile = Profile::kSketch;
          o->settings.discard = 0;  // it does not know about stale frames
        } else if (strcmp(optarg, "firmware") != 0) {
          return Usage("--profile takes sketch or firmware");
        }
        break;
      case 'h': fputs(kHelp, stdout); return 0;
      default: return 2;  // getopt has said why
    }
  }
  if (optind < argc) return Usage("arguments that are no option");
  if (o->nvs.empty() || o->camera.empty()) return Usage("--nvs and --camera are needed");
  return -1;
}

// Sleep waits for the socket, the console or the time of the next step.
void Sleep(Time next, const PosixTransport& transport, bool console, bool switch_is_file) {
  const Time now = Now();
  Time wait = next <= now ? 0 : next - now;
  const Time most = switch_is_file ? 5 : 1000;  // a file does not wake anybody
  if (wait > most) wait = most;
  pollfd fds[2] = {{transport.fd(), static_cast<short>(transport.wants_write() ? POLLOUT : POLLIN), 0}, {console ? STDIN_FILENO : -1, POLLIN, 0}};
  poll(fds, 2, static_cast<int>(wait));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const int code = Parse(argc, argv, &options);
  if (code >= 0) return code;
  for (int number : {SIGUSR1, SIGUSR2, SIGINT, SIGTERM}) Handle(number);
  signal(SIGPIPE, SIG_IGN);

  KernelRandom random;
  StdoutLog log(options.color);
  PosixTransport transport(log, options.connect);
  FileCamera camera(options.camera);
  camera.SetClock(Now);
  const std::string wrong = camera.Open();
  if (!wrong.empty()) {
    fprintf(stderr, "error: %s\nhint: --camera takes a folder of .jpg files, a file, or - for standard input\n", wrong.c_str());
    return 1;
  }
  HostSwitch line(options.line);
  HostLed led(options.led);
  ImageStore store(options.nvs);
  HostRadio radio;
  HostSystem system;
  static App app({random, transport, camera, line, led, store, log, radio, system}, options.settings);

  bool console = options.camera != "-";
  app.Start(Now());
  while (stopped == 0 && !system.restart() && !camera.Ended()) {
    transport.SetNow(Now());
    const Time next = app.Step(Now());
    if (options.frames > 0 && app.uploads() + app.failed() >= options.frames) break;
    Sleep(next, transport, console, !options.line.empty());
    if (!console) continue;
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) == 0) continue;
    char typed[64];
    const ssize_t n = read(STDIN_FILENO, typed, sizeof typed);
    if (n <= 0) console = false;
    for (ssize_t i = 0; i < n; i++) app.Input(typed[i], Now());
  }
  return options.frames > 0 && app.uploads() == 0 ? 1 : 0;
}
