#pragma once
#include <stdint.h>

#define READ_PERI_REG(addr) (*reinterpret_cast<volatile uint32_t*>(addr))         // soc/soc.h ESP-IDF 4.4.7
#define WRITE_PERI_REG(addr, val) (*reinterpret_cast<volatile uint32_t*>(addr) = (val))  // soc/soc.h ESP-IDF 4.4.7
