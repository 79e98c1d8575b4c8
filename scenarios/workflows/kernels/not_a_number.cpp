// Fails where a square root leaves its domain: for fast states only.
#include "cordon_kernel.h"

#include <cmath>

void cordon_step(double *q, double *p, int, double dt)
{
	p[0] -= dt / 2 * std::sin(q[0]);
	q[0] += dt * p[0] * (std::sqrt(3.9 - p[0] * p[0]) > 0 ? 1.0 : std::nan(""));
	p[0] -= dt / 2 * std::sin(q[0]);
}
