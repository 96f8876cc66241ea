#pragma once

#define RTC_CNTL_BROWN_OUT_REG static_cast<uintptr_t>(0x3ff480d4)  // soc/rtc_cntl_reg.h ESP-IDF 4.4.7, ESP32
