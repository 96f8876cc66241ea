#pragma once
#include <stdint.h>

extern "C" int64_t esp_timer_get_time();                     // esp_timer.h ESP-IDF 4.4.7
