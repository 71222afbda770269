/**
 * What can be wrong with an archive: known to whoever may get one, before what reads them is fetched.
 *
 * Owns: these words. Does not know: archives.
 */

/** `damaged`: it is no zip, cut short, or its checksums are wrong. `unknown`: compressed in a way that is not known here. */
export type ZipFault = "damaged" | "encrypted" | "unknown" | "entries" | "link";

/** What is wrong with an archive or one file in it. */
export class ZipError extends Error {
  readonly fault: ZipFault;
  constructor(fault: ZipFault) {
    super(fault);
    this.fault = fault;
  }
}
