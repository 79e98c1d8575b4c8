"""Integer expressions."""

import ast

from shim import Unmodelled


def calculate(text):
    """An integer expression without names."""

    def value(node):
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd, ast.Not)):
            inner = value(node.operand)
            return (
                -inner if isinstance(node.op, ast.USub) else inner if isinstance(node.op, ast.UAdd) else int(not inner)
            )
        if isinstance(node, ast.BinOp):
            left, right = value(node.left), value(node.right)
            made = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}
            if type(node.op) in made:
                return made[type(node.op)]
            if isinstance(node.op, (ast.Div, ast.FloorDiv)):
                return int(left / right)
            if isinstance(node.op, ast.Mod):
                return left % right
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = value(node.left), value(node.comparators[0])
            table = {ast.Lt: left < right, ast.LtE: left <= right, ast.Gt: left > right, ast.GtE: left >= right,
                     ast.Eq: left == right, ast.NotEq: left != right}  # fmt: skip
            return int(table[type(node.ops[0])])
        raise Unmodelled(f"$(({text}))")

    return value(ast.parse(text.strip() or "0", mode="eval"))
