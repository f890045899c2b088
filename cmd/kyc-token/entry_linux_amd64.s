#include "textflag.h"

// entry is where the kernel starts the program: see entry_linux.go.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVQ $1, DI  // stdout
	MOVQ $1, SI  // F_GETFD
	XORL DX, DX
	MOVQ $72, AX // fcntl
	SYSCALL
	MOVQ AX, ·stdoutAtStart(SB)
	JMP  _rt0_amd64_linux(SB)
