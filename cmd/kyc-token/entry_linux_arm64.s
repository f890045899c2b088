#include "textflag.h"

// entry is where the kernel starts the program: see entry_linux.go.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVD $1, R0  // stdout
	MOVD $1, R1  // F_GETFD
	MOVD ZR, R2
	MOVD $25, R8 // fcntl
	SVC
	MOVD R0, ·stdoutAtStart(SB)
	JMP  _rt0_arm64_linux(SB)
