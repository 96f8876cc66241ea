// The request writer against the vectors that the Go writer is held against.
#include <dirent.h>
#include <mbedtls/sha256.h>
#include <stdlib.h>

#include <algorithm>
#include <map>

#include "../core/request.h"
#include "test.h"

using namespace porthole;

namespace {

struct Vector {
  std::map<std::string, std::string> keys;
  std::vector<size_t> writes, records;
};

Vector Parse(const std::string& text) {
  Vector v;
  const size_t split = text.find("\n\n");
  size_t at = 0;
  while (at < split) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const size_t colon = line.find(": ");
    CHECK(colon != std::string::npos);
    v.keys[line.substr(0, colon)] = line.substr(colon + 2);
    at = end + 1;
  }
  const char* p = text.c_str() + split + 2;
  size_t plain, record;
  int used;
  while (sscanf(p, "%zu %zu\n%n", &plain, &record, &used) == 2) {
    v.writes.push_back(plain);
    v.records.push_back(record);
    p += used;
  }
  CHECK_EQ(std::string(p), std::string());
  return v;
}

std::string Sha256(const std::string& s) {
  unsigned char digest[32];
  mbedtls_sha256_ret(reinterpret_cast<const unsigned char*>(s.data()), s.size(), digest, 0);
  std::string hex;
  for (unsigned char c : digest) {
    hex += "0123456789abcdef"[c >> 4];
    hex += "0123456789abcdef"[c & 15];
  }
  return hex;
}

std::string Take(const Bytes& b) { return std::string(reinterpret_cast<const char*>(b.data), b.size); }

}  // namespace

TEST(UploadVectors) {
  const std::string folder = test::root + "/internal/wire/testdata/vectors/";
  int sketches = 0, firmwares = 0;
  DIR* dir = opendir(folder.c_str());
  CHECK(dir != nullptr);
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name.size() < 4 || name.substr(name.size() - 4) != ".txt") continue;
    test::Trace trace(name);
    Vector v = Parse(test::ReadFile(folder + name));
    const bool sketch = v.keys["profile"] == "sketch";
    (sketch ? sketches : firmwares)++;
    CHECK(sketch || v.keys["profile"] == "firmware");
    CHECK_EQ(v.keys["image-rule"], std::string("i*7+13"));
    std::vector<uint8_t> image(strtoul(v.keys["image-bytes"].c_str(), nullptr, 10));
    for (size_t i = 0; i < image.size(); i++) image[i] = static_cast<uint8_t>(i * 7 + 13);

    const Address to{v.keys["host"].c_str(), v.keys["path"].c_str(), v.keys["token"].c_str()};
    RequestWriter writer;
    writer.DropLastKilobyte(v.keys["drop-last-kb"] == "true");
    writer.Upload(sketch ? Profile::kSketch : Profile::kFirmware, to, {image.data(), image.size()});
    std::string stream;
    size_t n = 0;
    for (Bytes record; writer.Next(&record); n++) {
      CHECK(n < v.writes.size() && record.size == v.writes[n] && record.size + 24 == v.records[n]);
      stream += Take(record);
      if (n > 1000) break;
    }
    CHECK_EQ(n, v.writes.size());
    CHECK_EQ(std::to_string(stream.size()), v.keys["stream-bytes"]);
    CHECK_EQ(Sha256(stream), v.keys["stream-sha256"]);
    CHECK(stream.find("\r\nContent-Length: " + v.keys["content-length"] + "\r\n") != std::string::npos);
  }
  closedir(dir);
  CHECK(sketches >= 8 && firmwares >= 8);
}

TEST(NoticeRequest) {
  RequestWriter writer;
  writer.Notice({"h:8443", "/cam/upload", "t"}, false);
  Bytes record;
  CHECK(writer.Next(&record));
  CHECK_EQ(Take(record), std::string("POST /cam/camera HTTP/1.1\r\nHost: h:8443\r\nAuthorization: Bearer t\r\nAccept: application/json\r\n"
                                     "Content-Length: 15\r\nContent-Type: application/json\r\n\r\n{\"state\":\"off\"}"));
  CHECK(!writer.Next(&record));
  writer.Notice({"h", "/upload", "t"}, true);
  CHECK(writer.Next(&record));
  CHECK(Take(record).find("POST /camera HTTP/1.1\r\n") == 0);
  CHECK(Take(record).find("\r\n\r\n{\"state\":\"on\"}") != std::string::npos);
}

// The longest configuration fits: nothing of a header is ever cut.
TEST(LongestHeader) {
  const std::string host(263, 'h'), path = "/" + std::string(127, 'p'), token(128, 't');
  const std::vector<uint8_t> image(1000000);
  RequestWriter writer;
  writer.Upload(Profile::kFirmware, {host.c_str(), path.c_str(), token.c_str()}, {image.data(), image.size()});
  Bytes record;
  CHECK(writer.Next(&record));
  const std::string head = Take(record);
  CHECK(head.find("Host: " + host + "\r\n") != std::string::npos);
  CHECK(head.find("Bearer " + token + "\r\n") != std::string::npos);
  CHECK_EQ(head.substr(head.size() - 28), std::string("Content-Type: image/jpeg\r\n\r\n"));
}
