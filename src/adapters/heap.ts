import { setFlagsFromString } from 'node:v8'

/**
 * Let new objects be young, whatever V8 has guessed. While a process starts, V8 notes which places
 * make objects that stay, and may put all later ones of such a place among the old ones at once.
 * What is true of the start is wrong under load: the requests of those places then die old, and
 * each short collection has to go through them. Which places it picks changes from build to build.
 */
export function keepYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}
