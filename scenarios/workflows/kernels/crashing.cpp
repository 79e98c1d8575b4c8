// Writes where nothing is.
#include "cordon_kernel.h"

void cordon_step(double *q, double *, int, double dt)
{
	volatile double *nowhere = nullptr;
	*nowhere = q[0] + dt;
}
