// A program whose inlining is known: the tests compile it with the machine's own
// compiler, look the marks up and compare what they find with the comments.
// MARK leaves a label in the symbol table at the instruction it stands for.
#define MARK(name) asm volatile(".globl mark_" #name "\nmark_" #name ":\n\tnop")

static volatile int sink;

namespace camera {

struct Sensor {
  int gain;
  inline __attribute__((always_inline)) int Read() {
    MARK(leaf);  // @leaf
    return gain + sink;
  }
};

namespace {
inline __attribute__((always_inline)) int Check(Sensor& s) {
  int n = s.Read();  // @check
  MARK(middle);  // @middle
  return n;
}
}  // namespace

struct Driver {
  Sensor sensor;
  Driver();
  int Grab(int n);
};

__attribute__((noinline)) Driver::Driver() {
  sensor.gain = sink;
}

__attribute__((noinline)) int Driver::Grab(int n) {
  int sum = 0;
  if (n > 0) {
    sum = Check(sensor);  // @grab
  }
  MARK(outer);  // @outer
  sink = sum;
  return sum + n;
}

template <typename T>
__attribute__((noinline)) T Twice(T v) {
  MARK(generic);  // @generic
  sink = v;
  return v * 2;
}

}  // namespace camera

extern "C" __attribute__((noinline)) int app_main(void) {
  camera::Driver driver;
  auto add = [](int a) __attribute__((noinline)) {
    MARK(lambda);  // @lambda
    sink = a;
    return a + 1;
  };
  return driver.Grab(add(sink)) + camera::Twice(sink);  // @main
}

int main() { return app_main(); }
