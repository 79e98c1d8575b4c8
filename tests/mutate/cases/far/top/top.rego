package top

import data.base

open if base.ready
