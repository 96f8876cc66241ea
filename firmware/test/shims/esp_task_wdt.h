#pragma once
#include "esp_system.h"

struct esp_task_wdt_config_t { uint32_t timeout_ms, idle_core_mask; bool trigger_panic; };  // esp_task_wdt.h ESP-IDF 5.1.4 (core 3.x)
extern "C" esp_err_t esp_task_wdt_reconfigure(const esp_task_wdt_config_t* config);  // esp_task_wdt.h ESP-IDF 5.1.4 (core 3.x)
extern "C" esp_err_t esp_task_wdt_init(uint32_t seconds, bool panic);  // esp_task_wdt.h ESP-IDF 4.4.7
extern "C" esp_err_t esp_task_wdt_add(void* task);           // esp_task_wdt.h ESP-IDF 4.4.7 (a TaskHandle_t)
extern "C" esp_err_t esp_task_wdt_reset();                   // esp_task_wdt.h ESP-IDF 4.4.7
