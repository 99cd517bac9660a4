import { escapeHtml } from '../../src/domain/escape-html.ts'
import { boxesOf, sharesOf, type Box } from './boxes.ts'
import type { Origin } from './frame.ts'
import type { Flame } from './tree.ts'

export interface Picture {
  readonly title: string
  /** Calls shorter than this part of all time are not shown each. */
  readonly shareMin: number
}

/** Pixels. A monospace letter is 0.6 of its size wide, so texts are cut without being measured. */
const WIDTH = 1_200
const MARGIN = 16
const HEAD = 92
const ROW = 18
const LETTER = 6.35
const PAD = 3

const ORIGINS: readonly (readonly [origin: Origin, name: string])[] = [
  ['own', 'our code'],
  ['package', 'packages'],
  ['node', 'Node’s own modules'],
  ['native', 'V8, libuv, kernel, garbage collection'],
]

/** Pastels under dark letters, which are read on white and on black pages alike. */
const STYLE = `
.page { fill: #fbfbfa; stroke: #d9d9d6 } .head { fill: #1d2127 } .note { fill: #5d6570 }
.own { fill: #f6a65b } .package { fill: #92b9ec } .node { fill: #a3d3a2 } .native { fill: #cbc4dc }
.rest { fill: #e3e3e0 }
text { font: 10.5px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace }
g text { fill: #16191d } .rest text { fill: #55595f }
.head, .note { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif }
.head { font-size: 18px; font-weight: 600 } .note { font-size: 12.5px }
@media (prefers-color-scheme: dark) {
  .page { fill: #15181d; stroke: #30363d } .head { fill: #eceef1 } .note { fill: #a2abb6 }
  .rest { fill: #3a4048 } .rest text { fill: #c3c9d1 }
}`

/** Draw a profile, callers above what they call. The picture needs no font and no script. */
export function flameSvg(flame: Flame, { title, shareMin }: Picture): string {
  const boxes = boxesOf(flame, shareMin)
  const rows = Math.max(1, ...boxes.map(({ row }) => row + 1))
  const height = HEAD + rows * ROW + MARGIN
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`
  const label = `role="img" aria-label="${escapeHtml(title)}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${label}>
<style>${STYLE}
</style>
<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
<text class="head" x="${MARGIN}" y="32">${escapeHtml(title)}</text>
<text class="note" x="${MARGIN}" y="53">${escapeHtml(summary(flame, shareMin))}</text>
${legend(flame)}
${boxes.map(drawn).join('\n')}
</svg>
`
}

function summary({ root, idle, samples }: Flame, shareMin: number): string {
  const seconds = (micros: number) => `${(micros / 1e6).toFixed(1)} s`
  return (
    `${seconds(root.total)} of work in ${samples.toLocaleString('en-US')} samples; ` +
    `${seconds(idle)} of waiting are left out. Width is time, callers are above what they call; ` +
    `calls below ${percent(shareMin)} are summed up.`
  )
}

/** What each colour is, and how much of the time was spent there. */
function legend(flame: Flame): string {
  const shares = sharesOf(flame)
  let x = MARGIN
  return ORIGINS.map(([origin, name]) => {
    const text = `${name} ${percent(shares[origin])}`
    const mark = `<rect class="${origin}" x="${x}" y="66" width="12" height="12" rx="2"/>`
    const label = `<text class="note" x="${x + 18}" y="76.5">${escapeHtml(text)}</text>`
    x += 18 + Math.ceil(text.length * 7) + 20
    return mark + label
  }).join('\n')
}

function drawn(box: Box): string {
  const room = WIDTH - 2 * MARGIN
  const x = MARGIN + box.from * room
  const y = HEAD + box.row * ROW
  // A pixel between neighbours tells them apart.
  const width = Math.max(0.5, box.share * room - 1)
  const size = `width="${width.toFixed(1)}" height="${ROW - 1}"`
  const rect = `<rect x="${x.toFixed(1)}" y="${y}" ${size} rx="1.5"/>`
  const text = fitting(box, Math.floor((width - 2 * PAD) / LETTER))
  const label =
    text === '' ? '' : `<text x="${(x + PAD).toFixed(1)}" y="${y + 12}">${escapeHtml(text)}</text>`
  return `<g class="${box.kind}"><title>${escapeHtml(tip(box))}</title>${rect}${label}</g>`
}

/** What a pointer over the rectangle is told: who, where, how much. */
function tip({ frame: { name, module, place }, share }: Box): string {
  const who = module === '' ? name : `${name} · ${module}`
  return [who, place, percent(share)].filter((line) => line !== '').join('\n')
}

/** As much of a label as there is room for; nothing rather than two letters. */
function fitting({ frame: { name, module }, share }: Box, letters: number): string {
  const long = module === '' ? name : `${name} · ${module}`
  const part = percent(share)
  const texts = [`${long} ${part}`, `${name} ${part}`, name]
  const fits = texts.find((text) => text.length <= letters)
  if (fits !== undefined) return fits
  return letters < 4 ? '' : `${name.slice(0, letters - 1)}…`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
