#include <stdlib.h>

#include <chrono>

#include "test.h"

namespace test {

std::string root = "..";

namespace {
int failures = 0;
std::vector<std::string> traces;
}  // namespace

std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

void Fail(const char* file, int line, const std::string& what) {
  failures++;
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  for (const std::string& t : traces) fprintf(stderr, "    in %s\n", t.c_str());
  if (failures > 50) {
    fprintf(stderr, "too many failures\n");
    exit(1);
  }
}

Trace::Trace(std::string text) { traces.push_back(std::move(text)); }
Trace::~Trace() { traces.pop_back(); }

std::string ReadFile(const std::string& path) {
  FILE* f = fopen(path.c_str(), "rb");
  if (f == nullptr) {
    fprintf(stderr, "error: cannot open %s\nhint: give the folder of the repository as argument\n", path.c_str());
    exit(1);
  }
  std::string text;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) text.append(buffer, n);
  fclose(f);
  return text;
}

}  // namespace test

// Usage: firmware-test ROOT [NAME]: the tests whose name contains NAME.
int main(int argc, char** argv) {
  if (argc > 1) test::root = argv[1];
  int ran = 0;
  for (const test::Case& c : test::Cases()) {
    if (argc > 2 && strstr(c.name, argv[2]) == nullptr) continue;
    const int before = test::failures;
    const auto began = std::chrono::steady_clock::now();
    c.run();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    printf("%s %s (%lld ms)\n", test::failures == before ? "ok  " : "FAIL", c.name, static_cast<long long>(ms));
    ran++;
  }
  if (ran == 0) {
    fprintf(stderr, "error: no test of that name\n");
    return 1;
  }
  printf("%d tests, %d failures\n", ran, test::failures);
  return test::failures == 0 ? 0 : 1;
}
