-- What the election office keeps of its definition: written once, when an election is created. Names and votes are
-- what the manifests say; these add what gateways have no use for. Elections older than these tables have no rows here.
CREATE TABLE registry.contests (
  election text NOT NULL REFERENCES registry.elections,
  contest text NOT NULL,
  name text NOT NULL,
  votes_allowed integer NOT NULL CHECK (votes_allowed > 0),
  PRIMARY KEY (election, contest)
);

CREATE TABLE registry.parties (
  election text NOT NULL REFERENCES registry.elections,
  party text NOT NULL,
  name text NOT NULL,
  colour text,
  PRIMARY KEY (election, party)
);

-- photo is an SVG image's text. It comes from outside: it is served under a policy that lets it do nothing.
CREATE TABLE registry.candidates (
  election text NOT NULL,
  contest text NOT NULL,
  candidate text NOT NULL,
  name text NOT NULL,
  party text,
  biography text,
  platform text,
  photo text,
  PRIMARY KEY (election, contest, candidate),
  FOREIGN KEY (election, contest) REFERENCES registry.contests,
  FOREIGN KEY (election, party) REFERENCES registry.parties
);

-- Degrees of WGS 84.
CREATE TABLE registry.regions (
  election text NOT NULL REFERENCES registry.elections,
  region text NOT NULL,
  name text NOT NULL,
  latitude double precision CHECK (latitude BETWEEN -90 AND 90),
  longitude double precision CHECK (longitude BETWEEN -180 AND 180),
  PRIMARY KEY (election, region)
);

CREATE TABLE registry.stations (
  election text NOT NULL,
  station text NOT NULL,
  region text NOT NULL,
  name text NOT NULL,
  latitude double precision CHECK (latitude BETWEEN -90 AND 90),
  longitude double precision CHECK (longitude BETWEEN -180 AND 180),
  PRIMARY KEY (election, station),
  FOREIGN KEY (election, region) REFERENCES registry.regions
);
