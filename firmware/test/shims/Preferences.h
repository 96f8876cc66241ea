#pragma once
#include "Arduino.h"

enum PreferenceType { PT_I8, PT_U8, PT_I16, PT_U16, PT_I32, PT_U32, PT_I64, PT_U64, PT_STR, PT_BLOB, PT_INVALID };  // libraries/Preferences/src/Preferences.h 2.0.17

class Preferences {                                          // libraries/Preferences/src/Preferences.h 2.0.17
 public:
  bool begin(const char* name, bool readOnly);               // libraries/Preferences/src/Preferences.h 2.0.17
  void end();                                                // libraries/Preferences/src/Preferences.h 2.0.17
  PreferenceType getType(const char* key);                   // libraries/Preferences/src/Preferences.h 2.0.17
  size_t getString(const char* key, char* value, size_t maxLen);  // libraries/Preferences/src/Preferences.h 2.0.17
  uint16_t getUShort(const char* key, uint16_t defaultValue);  // libraries/Preferences/src/Preferences.h 2.0.17
  uint32_t getUInt(const char* key, uint32_t defaultValue);  // libraries/Preferences/src/Preferences.h 2.0.17
};
