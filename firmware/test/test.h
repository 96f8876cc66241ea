// A test main of two macros: no framework to download.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <functional>
#include <string>
#include <vector>

namespace test {

struct Case {
  const char* name;
  void (*run)();
};

std::vector<Case>& Cases();

struct Register {
  Register(const char* name, void (*run)()) { Cases().push_back({name, run}); }
};

// Fail counts and prints a failure; the test goes on.
void Fail(const char* file, int line, const std::string& what);

// Trace is printed with every failure while it lives: a row's name, a seed.
class Trace {
 public:
  explicit Trace(std::string text);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
};

inline std::string Show(const std::string& s) { return "\"" + s + "\""; }
inline std::string Show(std::nullptr_t) { return "nullptr"; }
inline std::string Show(const char* s) { return s == nullptr ? "nullptr" : Show(std::string(s)); }
inline std::string Show(bool b) { return b ? "true" : "false"; }
template <typename T>
std::string Show(T n) {
  return std::to_string(n);
}

// Rng is a seeded generator for tests (splitmix64).
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }

 private:
  uint64_t state_;
};

// ReadFile gives a whole file, or fails the run.
std::string ReadFile(const std::string& path);

// Root is the folder of the repository.
extern std::string root;

}  // namespace test

#define TEST(name)                                       \
  static void Test##name();                              \
  static test::Register register##name(#name, Test##name); \
  static void Test##name()

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) test::Fail(__FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_EQ(got, want)                                                                            \
  do {                                                                                                 \
    const auto got_ = (got);                                                                           \
    const auto want_ = (want);                                                                         \
    if (!(got_ == want_))                                                                              \
      test::Fail(__FILE__, __LINE__, std::string(#got) + " is " + test::Show(got_) + ", want " + test::Show(want_)); \
  } while (0)
