"""Uses pyserial's RFC 2217 port as a flasher does, and prints one JSON line.

Usage: client.py HOST:PORT
"""

import json
import sys
import time

import serial

SYNC = bytes.fromhex("c00008240000000000" "07071220") + b"\x55" * 32 + b"\xc0"

url = "rfc2217://" + sys.argv[1]
out = {"version": serial.__version__}

port = serial.serial_for_url(url, baudrate=115200, timeout=0.5)
port.dtr = False
port.rts = True
time.sleep(0.1)
port.dtr = True
port.rts = False
time.sleep(0.05)
port.dtr = False
out["download"] = port.read_until(b"waiting for download\r\n").decode("latin1")
port.reset_input_buffer()
port.write(SYNC)
out["sync"] = port.read(8 * 14).hex()
port.baudrate = 230400
port.send_break(0.05)
out["cts"] = port.cts
port.close()

port = serial.serial_for_url(url, baudrate=115200, timeout=0.5)
port.dtr = False
port.rts = True
time.sleep(0.1)
port.rts = False
out["boot"] = port.read_until(b"application runs\r\n").decode("latin1")
port.close()

print(json.dumps(out))
