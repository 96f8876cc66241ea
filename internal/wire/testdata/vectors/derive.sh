#!/bin/sh
# derive.sh writes the derived vectors of this directory. It needs awk (any
# POSIX one) and sha256sum. See README.md.
set -eu
export LC_ALL=C

host=camera.example.org
path=/upload
token=0123456789abcde

# image M: the first M bytes of every image, by the rule i*7+13.
image() {
	awk -v m="$1" 'BEGIN { for (i = 0; i < m; i++) printf "\\%03o", (i * 7 + 13) % 256 }' |
		while IFS= read -r octal || [ -n "$octal" ]; do printf '%b' "$octal"; done
}

# stream SENT LENGTH: the request with SENT image bytes and that Content-Length.
stream() {
	printf 'POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n' "$path" "$host" "$token"
	printf 'Content-Length: %d\r\nContent-Type: multipart/form-data; boundary=LMR\r\n\r\n' "$2"
	printf -- '--LMR\r\nContent-Disposition: form-data; name="img"; filename="latest.jpg"\r\n'
	printf 'Content-Type: image/jpeg\r\n\r\n'
	image "$1"
	printf '\r\n--LMR--\r\n'
}

# vector NAME N DROP
vector() {
	n=$2
	sent=$n
	if [ "$3" = true ] && [ "$n" -gt 0 ] && [ $((n % 1024)) -eq 0 ]; then
		sent=$((n - 1024))
	fi
	length=$((n + 113))
	set -- "$1" "$3" "$(stream "$sent" "$length" | sha256sum | cut -d' ' -f1)" "$(stream "$sent" "$length" | wc -c)"
	{
		cat <<-END
			profile: sketch
			host: $host
			path: $path
			token: $token
			image-bytes: $n
			image-rule: i*7+13
			drop-last-kb: $2
			content-length: $length
			stream-bytes: $(($4))
			stream-sha256: $3
			read-bytes: $sent
			short-by: $((n - sent))

		END
		awk -v h=${#host} -v p=${#path} -v t=${#token} -v digits="${#length}" -v sent="$sent" '
			function write_(n) { print n, n + 24 }
			BEGIN {
				write_(5 + p + 9); write_(2)
				write_(6 + h); write_(2)
				write_(22 + t); write_(2)
				write_(16 + digits); write_(2)
				write_(47); write_(2)
				write_(2)
				write_(102)
				for (; sent >= 1024; sent -= 1024) write_(1024)
				if (sent > 0) write_(sent)
				write_(11)
			}'
	} >"$1.txt"
}

for n in 0 1 1023 1024 1025 2048 25000; do
	vector "sketch-$n" "$n" true
done
vector sketch-1024-fixed 1024 false
vector sketch-2048-fixed 2048 false

# The lengths of the header lines, and the digits of Content-Length.
vector sketch-886 886 true
vector sketch-887 887 true
host=h path=/ token=
vector sketch-short-header 3072 true
host=a-rather-long-name.of.a.camera.server.example.org path=/api/v1/camera/upload token=0123456789abcdef0123456789abcdef0123456789abcdef
vector sketch-long-header 3071 true

# firmware_head LENGTH: the first record of the firmware profile.
firmware_head() {
	printf 'POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n' "$path" "$host" "$token"
	printf 'Accept: application/json\r\nContent-Length: %d\r\nContent-Type: multipart/form-data; boundary=LMR\r\n\r\n' "$1"
	printf -- '--LMR\r\nContent-Disposition: form-data; name="img"; filename="latest.jpg"\r\n'
	printf 'Content-Type: image/jpeg\r\n\r\n'
}

# firmware_stream N: the whole request.
firmware_stream() {
	firmware_head $(($1 + 113))
	image "$1"
	printf '\r\n--LMR--\r\n'
}

# firmware NAME N
firmware() {
	{
		cat <<-END
			profile: firmware
			host: $host
			path: $path
			token: $token
			image-bytes: $2
			image-rule: i*7+13
			drop-last-kb: false
			content-length: $(($2 + 113))
			stream-bytes: $(($(firmware_stream "$2" | wc -c)))
			stream-sha256: $(firmware_stream "$2" | sha256sum | cut -d' ' -f1)
			read-bytes: $2
			short-by: 0

		END
		awk -v head="$(firmware_head $(($2 + 113)) | wc -c)" -v left="$2" '
			function write_(n) { print n, n + 24 }
			BEGIN {
				write_(head + 0)
				for (; left > 4096; left -= 4096) write_(4096)
				if (left > 0) write_(left)
				write_(11)
			}'
	} >"$1.txt"
}

host=camera.example.org:8443 path=/upload token=0123456789abcde
for n in 0 1 1024 4095 4096 4097 8192 25000; do
	firmware "firmware-$n" "$n"
done
host=h path=/ token=
firmware firmware-short-header 886
host=a-rather-long-name.of.a.camera.server.example.org path=/api/v1/camera/upload token=0123456789abcdef0123456789abcdef0123456789abcdef
firmware firmware-long-header 3071
