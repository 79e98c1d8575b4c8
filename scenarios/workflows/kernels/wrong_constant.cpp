// Subtly wrong: gravity is off by half a thousandth. Symplectic, conserves an energy - of another pendulum.
#include "cordon_kernel.h"

#include <cmath>

void cordon_step(double *q, double *p, int, double dt)
{
	const double g = 1.0005;
	p[0] -= dt / 2 * g * std::sin(q[0]);
	q[0] += dt * p[0];
	p[0] -= dt / 2 * g * std::sin(q[0]);
}
