import { deadExports, namedTwice, usedByTestsAlone } from './exports.ts'
import { kept, worldly } from './globals.ts'
import { backwards, outwards, unreached } from './imports.ts'
import { calledAlike } from './names.ts'
import { carried } from './shards.ts'
import { foreignWrites } from './tables.ts'
import type { Parsed } from './tree.ts'
import { wideLines } from './columns.ts'
import {
  branching,
  classes,
  emptyNames,
  floatsOfMoney,
  machinePaths,
  silenced,
  strayStatements,
} from './words.ts'

/** What our own rules say of a tree. */
export function judge(files: readonly Parsed[]): string[] {
  return [
    ...outwards(files).broken,
    ...backwards(files),
    ...unreached(files),
    ...deadExports(files),
    ...usedByTestsAlone(files),
    ...namedTwice(files),
    ...calledAlike(files),
    ...foreignWrites(files).broken,
    ...worldly(files),
    ...kept(files),
    ...carried(files),
    ...strayStatements(files),
    ...classes(files),
    ...emptyNames(files),
    ...floatsOfMoney(files),
    ...machinePaths(files),
    ...silenced(files),
    ...branching(files),
    ...files.flatMap(wideLines),
  ]
}
