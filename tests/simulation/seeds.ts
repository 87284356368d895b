/**
 * Which seeds run what.
 *
 * @module
 */

/** One seed in so many runs on the real SQL, and publishes. The others count with a model of the database. */
export const SQL_EVERY = 40;
