package sim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	utls "github.com/refraction-networking/utls"
)

// Core names the Arduino core whose TLS library a simulated board has: its
// ClientHello, its record versions.
type Core string

// The cores.
const (
	Core2 Core = "core2" // 2.0.x, Mbed TLS 2.28
	Core3 Core = "core3" // 3.x, Mbed TLS 3.5 and 3.6
)

// ParseCore returns the core called s.
func ParseCore(s string) (Core, error) {
	switch c := Core(s); c {
	case Core2, Core3:
		return c, nil
	}
	return "", fmt.Errorf("TLS profile %q: want core2 or core3", s)
}

// Suites in the order of each core, the renegotiation SCSV last (esp32-wire 2.3).
const (
	suitesCore2 = "c02cc030009fc0adc09fc024c028006bc00ac0140039c0afc0a3c087c08bc07dc073c07700c40088c02bc02f009ec0acc09e" +
		"c023c0270067c009c0130033c0aec0a2c086c08ac07cc072c07600be0045009dc09d003d0035c032c02ac00fc02ec026c005c0a1c07b" +
		"00c00084c08dc079c089c075009cc09c003c002fc031c029c00ec02dc025c004c0a0c07a00ba0041c08cc078c088c07400ff"
	suitesCore3 = "c02cc030c0adc024c028c00ac014c0afc087c08bc073c077c05dc061c049c04dc02bc02fc0acc023c027c009c013c0aec086" +
		"c08ac072c076c05cc060c048c04c009dc09d003d0035c032c02ac00fc02ec026c005c0a1c07b00c00084c08dc079c089c075c05fc063" +
		"c051c04bc04fc03d009cc09c003c002fc031c029c00ec02dc025c004c0a0c07a00ba0041c08cc078c088c074c05ec062c050c04ac04e" +
		"c03c00ff"
)

// Groups and signature algorithms in the order of each core (esp32-wire 2.2).
var (
	groupsCore2 = []utls.CurveID{25, 28, 24, 27, 23, 22, 26, 21, 20, 19, 18, 29}
	groupsCore3 = []utls.CurveID{29, 23, 24, 25, 26, 27, 28}
	hashesCore2 = []utls.SignatureScheme{0x0603, 0x0601, 0x0503, 0x0501, 0x0403, 0x0401, 0x0303, 0x0301, 0x0203, 0x0201}
	hashesCore3 = []utls.SignatureScheme{0x0603, 0x0601, 0x0503, 0x0501, 0x0403, 0x0401}
)

// Extensions without content, or with content that utls would change.
const (
	extServerName     = 0
	extEncryptThenMAC = 22
)

// spec is the ClientHello of the core. name goes into SNI whatever it is, also an
// address (esp32-wire 2.1); utls itself would leave that out.
func (c Core) spec(name string) *utls.ClientHelloSpec {
	sni := &utls.GenericExtension{Id: extServerName, Data: appendSNI(nil, name)}
	points := &utls.SupportedPointsExtension{SupportedPoints: []byte{0}}
	etm := &utls.GenericExtension{Id: extEncryptThenMAC}
	ems, ticket := &utls.ExtendedMasterSecretExtension{}, &utls.SessionTicketExtension{}
	s := &utls.ClientHelloSpec{
		TLSVersMin: utls.VersionTLS12, TLSVersMax: utls.VersionTLS12,
		CipherSuites: parseSuites(suitesCore2), CompressionMethods: []byte{0},
		Extensions: []utls.TLSExtension{
			sni, &utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: hashesCore2},
			&utls.SupportedCurvesExtension{Curves: groupsCore2}, points, etm, ems, ticket,
		},
	}
	if c == Core3 {
		s.CipherSuites = parseSuites(suitesCore3)
		s.Extensions = []utls.TLSExtension{
			sni, &utls.SupportedCurvesExtension{Curves: groupsCore3},
			&utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: hashesCore3}, points, etm, ems, ticket,
		}
	}
	return s
}

func appendSNI(b []byte, name string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)+3))
	b = append(b, 0) // a host name
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return append(b, name...)
}

func parseSuites(s string) (suites []uint16) {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant
	}
	for ; len(raw) > 0; raw = raw[2:] {
		suites = append(suites, binary.BigEndian.Uint16(raw))
	}
	return suites
}
