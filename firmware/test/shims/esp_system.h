#pragma once
#include <stdint.h>

typedef int esp_err_t;                                       // esp_err.h ESP-IDF 4.4.7
#define ESP_OK 0                                             // esp_err.h ESP-IDF 4.4.7
#define ESP_FAIL -1                                          // esp_err.h ESP-IDF 4.4.7
enum esp_reset_reason_t {                                    // esp_system.h ESP-IDF 4.4.7
  ESP_RST_UNKNOWN, ESP_RST_POWERON, ESP_RST_EXT, ESP_RST_SW, ESP_RST_PANIC, ESP_RST_INT_WDT, ESP_RST_TASK_WDT,  // esp_system.h ESP-IDF 4.4.7
  ESP_RST_WDT, ESP_RST_DEEPSLEEP, ESP_RST_BROWNOUT, ESP_RST_SDIO,  // esp_system.h ESP-IDF 4.4.7
};
extern "C" esp_reset_reason_t esp_reset_reason();            // esp_system.h ESP-IDF 4.4.7
extern "C" uint32_t esp_random();                            // esp_random.h ESP-IDF 4.4.7
