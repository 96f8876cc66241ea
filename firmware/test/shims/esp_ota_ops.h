#pragma once
#include "esp_system.h"

struct esp_partition_t;                                      // esp_partition.h ESP-IDF 4.4.7
enum esp_ota_img_states_t : uint32_t { ESP_OTA_IMG_PENDING_VERIFY = 1, ESP_OTA_IMG_UNDEFINED = 0xFFFFFFFF };  // esp_flash_partitions.h ESP-IDF 4.4.7
extern "C" const esp_partition_t* esp_ota_get_running_partition();  // esp_ota_ops.h ESP-IDF 4.4.7
extern "C" esp_err_t esp_ota_get_state_partition(const esp_partition_t* partition, esp_ota_img_states_t* state);  // esp_ota_ops.h ESP-IDF 4.4.7
extern "C" esp_err_t esp_ota_mark_app_valid_cancel_rollback();  // esp_ota_ops.h ESP-IDF 4.4.7
extern "C" esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot();  // esp_ota_ops.h ESP-IDF 4.4.7
