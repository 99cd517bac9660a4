import * as fs from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { sourceLines } from './flame/lines.ts'
import { flameSvg } from './flame/svg.ts'
import { flameOf, readProfile } from './flame/tree.ts'
import { ROOT } from './rig.ts'

interface Options {
  readonly title: string
  readonly min: string
  readonly dist: string
}

new Command('flame')
  .description('Draw a processor profile, as `bench --profile` leaves them, as an SVG flame graph.')
  .argument('<profile>', 'a .cpuprofile')
  .argument('<svg>', 'the picture to write')
  .option('--title <text>', 'what it shows', 'Where the processor time goes')
  .option('--min <percent>', 'calls shorter than this are summed up', '0.4')
  .option('--dist <folder>', 'the profiled build, for lines of the sources', join(ROOT, 'dist'))
  .action(draw)
  .parse()

function draw(profile: string, svg: string, { title, min, dist }: Options): void {
  const shareMin = Number(min) / 100
  if (!(shareMin > 0)) throw new Error('--min must be a percentage above 0')
  const flame = flameOf(readProfile(fs.readFileSync(profile, 'utf8')), sourceLines(dist))
  fs.writeFileSync(svg, flameSvg(flame, { title, shareMin }))
}
