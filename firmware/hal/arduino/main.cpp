// The firmware on a board: setup() makes the parts, loop() steps the application.
#include <Arduino.h>
#include <ArduinoOTA.h>

#include "../../core/app.h"
#include "camera.h"
#include "parts.h"
#include "transport.h"

namespace {

using namespace porthole;

BoardRandom board_random;
BoardSwitch line;
BoardLed led;
SerialLog console;
FlashStore store;
BoardRadio radio;
BoardSystem board;
BoardCamera camera;
BoardTransport transport;
App app({board_random, transport, camera, line, led, store, console, radio, board}, Settings());

// Ota takes new firmware from the local network, for whoever knows the upload token.
class Ota {
 public:
  void Step() {
    if (!radio.Up()) return;
    if (!begun_) {
      char token[129];
      if (store.Text("token", token, sizeof token) != Stored::kFound) return;
      ArduinoOTA.setPassword(token);
      ArduinoOTA.onProgress([](unsigned, unsigned) { board.FeedWatchdog(); });
      ArduinoOTA.begin();
      begun_ = true;
    }
    ArduinoOTA.handle();
  }

 private:
  bool begun_ = false;
} ota;

// kIdle bounds a pause of the loop: sockets and the console wake nobody here.
constexpr Time kIdle = 5;  // ms

}  // namespace

void setup() {
  Serial.begin(115200);
  line.Begin();  // first of all: the camera may have to stay off
  led.Begin();
  board.Begin();
  radio.Begin();
  app.Start(Now());
}

void loop() {
  const Time next = app.Step(Now());
  while (Serial.available() > 0) app.Input(static_cast<char>(Serial.read()), Now());
  ota.Step();
  const Time now = Now();
  if (next > now) delay(static_cast<uint32_t>(next - now < kIdle ? next - now : kIdle));
}
