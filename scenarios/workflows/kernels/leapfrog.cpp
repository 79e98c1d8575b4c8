// The good one: kick, drift, kick. Second order, symplectic, time-reversible.
#include "cordon_kernel.h"

extern "C" double sin(double); // all of <cmath> that is needed; the header takes an emulated compiler ten seconds

void cordon_step(double *q, double *p, int, double dt)
{
	p[0] -= dt / 2 * sin(q[0]);
	q[0] += dt * p[0];
	p[0] -= dt / 2 * sin(q[0]);
}
