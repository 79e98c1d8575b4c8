"""The front page's style: system fonts, two colour schemes, nothing loaded from anywhere.

In narrow windows Allure's own pages spell the names of steps letter by letter, for want of room: there sizes, types and
durations beside them are left out.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
#cordon{--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d1d9e0;--soft:#f6f8fa;--good:#1a7f37;--bad:#cf222e;--open:#9a6700;
--link:#0969da;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;min-height:100vh}
@media (prefers-color-scheme:dark){#cordon{--bg:#0d1117;--fg:#e6edf3;--dim:#9198a1;--line:#3d444d;--soft:#151b23;
--good:#3fb950;--bad:#f85149;--open:#d29922;--link:#4493f8}}
#cordon[hidden],#cordon-back[hidden]{display:none}
#cordon *{box-sizing:border-box}
#cordon main{max-width:1120px;margin:0 auto;padding:24px 20px 64px}
#cordon h1{font-size:26px;font-weight:700;margin:0 0 4px}
#cordon h2{font-size:19px;font-weight:650;margin:40px 0 10px;padding-top:4px}
#cordon b,#cordon strong{font-weight:650}#cordon ul{list-style:disc}
#cordon p{margin:4px 0 10px;max-width:75ch}#cordon .dim{color:var(--dim)}
#cordon a{color:var(--link);text-decoration:none}#cordon a:hover{text-decoration:underline}
#cordon .verdict{border:1px solid var(--line);border-left:8px solid var(--good);border-radius:8px;padding:14px 18px;
background:var(--soft)}#cordon .verdict.red{border-left-color:var(--bad)}
#cordon .verdict{margin:10px 0 12px}#cordon .verdict strong{font-size:20px}
#cordon .verdict ul{margin:8px 0 0;padding-left:20px}
#cordon .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:10px;margin:16px 0}
#cordon .tile{border:1px solid var(--line);border-radius:8px;padding:10px 14px}
#cordon .tile b{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}
#cordon .tile.dim b{color:var(--dim)}#cordon .tile.bad b{color:var(--bad)}#cordon .tile.open b{color:var(--open)}
#cordon .tile span{color:var(--dim);font-size:13px}
#cordon .scroll{overflow-x:auto;margin:6px 0 12px}
#cordon table{border-collapse:collapse;width:100%;font-size:14px}
#cordon th{text-align:left;color:var(--dim);font-weight:600;white-space:nowrap;border-bottom:1px solid var(--line)}
#cordon th,#cordon td{padding:5px 12px 5px 0;vertical-align:top}
#cordon td{border-bottom:1px solid var(--line)}
#cordon .num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
#cordon td.num{padding-right:14px}#cordon th.num{padding-right:14px}
#cordon code,#cordon .mono{font:12.5px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
#cordon .ruling{font-weight:600;font-size:12.5px;white-space:nowrap}
#cordon .good{color:var(--good)}#cordon .bad{color:var(--bad)}#cordon .open{color:var(--open)}
#cordon .bar{width:120px;height:8px;background:var(--line);border-radius:4px;overflow:hidden;vertical-align:middle}
#cordon .bar rect.good{fill:var(--good)}#cordon .bar rect.bad{fill:var(--bad)}#cordon .bar rect.dim{fill:var(--link)}
#cordon .facts{display:grid;grid-template-columns:minmax(90px,max-content) 1fr;gap:2px 16px;margin:0;font-size:14px}
#cordon .facts dt{color:var(--dim)}#cordon .facts dd{margin:0;overflow-wrap:anywhere}
#cordon nav{display:flex;flex-wrap:wrap;gap:6px 16px;margin:14px 0 0;font-size:14px}
#cordon details{border:1px solid var(--line);border-radius:8px;margin:8px 0;padding:0 14px}
#cordon summary{cursor:pointer;padding:9px 0;font-weight:600}#cordon summary span{font-weight:400;color:var(--dim)}
#cordon .picture{overflow:auto;background:#fff;border-radius:6px;max-height:760px;margin-bottom:14px}
#cordon .picture svg{width:100%;min-width:860px;height:auto;display:block}
#cordon .reds{border:1px solid var(--line);border-left:8px solid var(--bad);border-radius:8px;padding:4px 18px 2px;
margin:14px 0}#cordon .reds h2{margin:10px 0 4px}
#cordon .chips{display:flex;flex-wrap:wrap;gap:2px 12px}
#cordon .chart{width:100%;max-width:640px;height:auto;display:block}
#cordon .chart text{font-size:11px;fill:var(--dim)}#cordon .chart .axis{stroke:var(--line)}
#cordon .chart .total{fill:none;stroke:var(--dim);stroke-dasharray:4 3}
#cordon .chart .passed{fill:none;stroke:var(--good);stroke-width:2}
#cordon .chart circle{fill:var(--good)}#cordon .chart circle.bad{fill:var(--bad)}
#cordon-back{position:fixed;right:14px;bottom:14px;z-index:9999;background:#0969da;color:#fff;border-radius:20px;
padding:7px 14px;font:600 13px system-ui,sans-serif;text-decoration:none;box-shadow:0 1px 6px #0005}
@media (max-width:560px){#cordon main{padding:16px 12px 64px}#cordon h1{font-size:22px}#cordon .hide{display:none}
#cordon .bar{width:70px}
#cordon td:first-child{min-width:150px}#cordon .tiles{grid-template-columns:repeat(2,1fr)}
#cordon .facts{grid-template-columns:1fr}
#cordon .facts dd{margin-bottom:6px}
#cordon .stack thead{display:none}#cordon .stack tr{display:block;border-bottom:1px solid var(--line);padding:6px 0}
#cordon .stack td{display:block;border:0;padding:1px 0;overflow-wrap:anywhere}#cordon .stack td:empty{display:none}}
@media (max-width:560px){[data-testid=test-result-step-title]~div{display:none}
[data-testid=test-result-attachment-header] .paragraphs-text-s{display:none}
[data-testid=test-result-step-title]{word-break:normal;overflow-wrap:anywhere}}
@media print{#cordon-back{display:none}}
"""
