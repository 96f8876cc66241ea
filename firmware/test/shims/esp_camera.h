#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "esp_system.h"

enum ledc_timer_t { LEDC_TIMER_0 };                          // driver/ledc.h ESP-IDF 4.4.7
enum ledc_channel_t { LEDC_CHANNEL_0 };                      // driver/ledc.h ESP-IDF 4.4.7
enum pixformat_t { PIXFORMAT_JPEG = 4 };                     // esp32-camera sensor.h 2.0.4
enum framesize_t { FRAMESIZE_SVGA = 9 };                     // esp32-camera sensor.h 2.0.4
enum camera_fb_location_t { CAMERA_FB_IN_PSRAM, CAMERA_FB_IN_DRAM };  // esp32-camera esp_camera.h 2.0.4
enum camera_grab_mode_t { CAMERA_GRAB_WHEN_EMPTY, CAMERA_GRAB_LATEST };  // esp32-camera esp_camera.h 2.0.4

struct camera_config_t {                                     // esp32-camera esp_camera.h 2.0.4
  int pin_pwdn, pin_reset, pin_xclk;                         // esp32-camera esp_camera.h 2.0.4
  int pin_sccb_sda, pin_sccb_scl;                            // esp32-camera esp_camera.h 2.0.4 (unions with the old sscb names)
  int pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0;  // esp32-camera esp_camera.h 2.0.4
  int pin_vsync, pin_href, pin_pclk, xclk_freq_hz;           // esp32-camera esp_camera.h 2.0.4
  ledc_timer_t ledc_timer;                                   // esp32-camera esp_camera.h 2.0.4
  ledc_channel_t ledc_channel;                               // esp32-camera esp_camera.h 2.0.4
  pixformat_t pixel_format;                                  // esp32-camera esp_camera.h 2.0.4
  framesize_t frame_size;                                    // esp32-camera esp_camera.h 2.0.4
  int jpeg_quality;                                          // esp32-camera esp_camera.h 2.0.4
  size_t fb_count;                                           // esp32-camera esp_camera.h 2.0.4
  camera_fb_location_t fb_location;                          // esp32-camera esp_camera.h 2.0.4
  camera_grab_mode_t grab_mode;                              // esp32-camera esp_camera.h 2.0.4
};

struct camera_fb_t {                                         // esp32-camera esp_camera.h 2.0.4
  uint8_t* buf;                                              // esp32-camera esp_camera.h 2.0.4
  size_t len;                                                // esp32-camera esp_camera.h 2.0.4
  timeval timestamp;                                         // esp32-camera esp_camera.h 2.0.4
};

struct sensor_t {                                            // esp32-camera sensor.h 2.0.4
  int (*set_special_effect)(sensor_t* sensor, int effect);   // esp32-camera sensor.h 2.0.4
  int (*set_res_raw)(sensor_t* sensor, int startX, int startY, int endX, int endY, int offsetX, int offsetY, int totalX,
                     int totalY, int outputX, int outputY, bool scale, bool binning);  // esp32-camera sensor.h 2.0.4
};

extern "C" esp_err_t esp_camera_init(const camera_config_t* config);  // esp32-camera esp_camera.h 2.0.4
extern "C" esp_err_t esp_camera_deinit();                    // esp32-camera esp_camera.h 2.0.4
extern "C" camera_fb_t* esp_camera_fb_get();                 // esp32-camera esp_camera.h 2.0.4
extern "C" void esp_camera_fb_return(camera_fb_t* fb);       // esp32-camera esp_camera.h 2.0.4
extern "C" sensor_t* esp_camera_sensor_get();                // esp32-camera esp_camera.h 2.0.4
