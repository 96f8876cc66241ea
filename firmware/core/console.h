// The lines of the serial console. Their vocabulary is that of internal/console,
// which parses them: whoever adds a line here adds it there.
#pragma once

#include "io.h"
#include "text.h"

namespace porthole {

// ConsoleLine builds one line and hands it to the log when it is complete:
//
//	ConsoleLine('I', now, "upload ok").Number("seq", 7).Text("why", w).To(log);
class ConsoleLine {
 public:
  ConsoleLine(char level, Time now, const char* kind);
  ConsoleLine& Number(const char* name, int64_t value);
  ConsoleLine& Unsigned(const char* name, uint64_t value);
  // Code is hexadecimal when it is positive, as error codes of the driver are.
  ConsoleLine& Code(const char* name, int value);
  // Text is quoted, and what could move a terminal's cursor is escaped.
  ConsoleLine& Text(const char* name, const char* value);
  void To(Log& log) { log.Line(text_.data(), text_.size()); }

 private:
  ConsoleLine& Name(const char* name);
  char buffer_[1024];  // the longest line that is parsed
  TextBuilder text_{buffer_, sizeof buffer_};
};

// CameraErrorName gives the driver's name of a code (esp32-wire 4.7).
const char* CameraErrorName(int code);

// WiFiReasonName gives the driver's name of a reason (esp32-wire 3.4).
const char* WiFiReasonName(int reason);

}  // namespace porthole
