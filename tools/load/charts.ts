import { escapeHtml } from '../../src/domain/escape-html.ts'
import { figure } from './report.ts'

/** One bar. `group` is the class that colours it; `points` are drawn as marks on it. */
interface Value {
  readonly name: string
  readonly group: string
  readonly value: number
  readonly points: readonly number[]
  readonly unit: string
}

const WIDTH = 720
const LABEL = 250
const ROW = 26

/** Bars side by side, with a mark for each run. A unit has a scale of its own. */
export function bars(values: readonly Value[]): string {
  const room = WIDTH - LABEL - 110
  const rows = values.map((value, index) => {
    const alike = values.filter(({ unit }) => unit === value.unit)
    const most = Math.max(...alike.flatMap((each) => [each.value, ...each.points]), Number.EPSILON)
    const x = (of: number) => LABEL + (Math.max(0, of) / most) * room
    const y = index * ROW + 4
    const width = Number.isFinite(value.value) ? x(value.value) - LABEL : 0
    const marks = value.points.map((point) => {
      const at = x(point).toFixed(1)
      return `<line x1="${at}" x2="${at}" y1="${y + 3}" y2="${y + 15}" stroke="currentColor" opacity=".5"/>`
    })
    const name = value.name.length > 42 ? `${value.name.slice(0, 41)}…` : value.name
    return [
      `<text x="${LABEL - 8}" y="${y + 13}" text-anchor="end">${escapeHtml(name)}</text>`,
      `<rect class="${value.group}" x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="18" rx="2"/>`,
      ...marks,
      `<text x="${(LABEL + room + 8).toFixed(1)}" y="${y + 13}">${figure(value.value)} ${escapeHtml(value.unit)}</text>`,
    ].join('')
  })
  const height = values.length * ROW + 4
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img">${rows.join('\n')}</svg>`
}

interface Curve {
  readonly name: string
  readonly group: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const HEIGHT = 240
const LEFT = 44
const BOTTOM = 36
/** Half of the widest number on the scale. */
const RIGHT = 22

/** Curves over a logarithmic scale from left to right, and shares from 0 to 1 upwards. */
export function curves(lines: readonly Curve[], xName: string, yName: string): string {
  const all = lines.flatMap(({ points }) => points.map(([x]) => Math.max(x, 0.01)))
  const low = Math.floor(Math.log10(Math.min(...all)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all))))
  const x = (of: number) =>
    LEFT + ((Math.log10(Math.max(of, 0.01)) - low) / (high - low)) * (WIDTH - LEFT - RIGHT)
  const y = (of: number) => 10 + (1 - of) * (HEIGHT - BOTTOM - 10)
  const grid = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)).map(
    (ms) =>
      `<line class="grid" x1="${x(ms)}" x2="${x(ms)}" y1="10" y2="${HEIGHT - BOTTOM}"/>` +
      `<text x="${x(ms)}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${ms}</text>`,
  )
  const levels = [0, 0.5, 0.9, 1].map(
    (share) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share)}" y2="${y(share)}"/>` +
      `<text x="${LEFT - 6}" y="${y(share) + 4}" text-anchor="end">${share * 100}%</text>`,
  )
  const paths = lines.map(({ name, group, points }, index) => {
    const start = `M${x(points[0]?.[0] ?? 0).toFixed(1)},${y(0).toFixed(1)}`
    const path = points.map(([px, py]) => `L${x(px).toFixed(1)},${y(py).toFixed(1)}`)
    const dash = index % 3 === 0 ? '' : ` stroke-dasharray="${index % 3 === 1 ? '6 3' : '2 3'}"`
    return `<path class="${group}" style="fill:none" d="${start}${path.join('')}"${dash}><title>${escapeHtml(name)}</title></path>`
  })
  const legend = lines.map(({ name, group }, index) => {
    const dash = index % 3 === 0 ? '' : ` stroke-dasharray="${index % 3 === 1 ? '6 3' : '2 3'}"`
    const top = HEIGHT + 12 + index * 16
    return (
      `<path class="${group}" style="fill:none" d="M${LEFT},${top}h28"${dash}/>` +
      `<text x="${LEFT + 36}" y="${top + 4}">${escapeHtml(name)}</text>`
    )
  })
  const height = HEIGHT + lines.length * 16 + 12
  const axes =
    `<text x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end" class="faint">${escapeHtml(xName)}</text>` +
    `<text x="${LEFT}" y="${HEIGHT - 6}" class="faint">${escapeHtml(yName)} ↑</text>`
  const parts = [...grid, ...levels, axes, ...paths, ...legend]
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img">${parts.join('\n')}</svg>`
}
