#pragma once
#include <stddef.h>
#include <stdint.h>

#define MALLOC_CAP_SPIRAM (1 << 10)                          // esp_heap_caps.h ESP-IDF 4.4.7
#define MALLOC_CAP_INTERNAL (1 << 11)                        // esp_heap_caps.h ESP-IDF 4.4.7
extern "C" size_t heap_caps_get_free_size(uint32_t caps);    // esp_heap_caps.h ESP-IDF 4.4.7
extern "C" size_t heap_caps_get_largest_free_block(uint32_t caps);  // esp_heap_caps.h ESP-IDF 4.4.7
