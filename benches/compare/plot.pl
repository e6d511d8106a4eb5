#!/usr/bin/env perl
# Draws the medians of a file that `run --out` wrote, as bars:
#   perl benches/compare/plot.pl results.tsv > results.svg
use strict;
use warnings;

my @loads = (
    ['read_per_s', 'read a session'],
    ['count_per_s', 'count in one of 5,000 sessions'],
    ['hot_per_s', 'count in one session'],
);
my ($width, $label, $bar, $gap) = (760, 170, 22, 6);

my (%values, @servers);
while (<>) {
    chomp;
    my (undef, $server, $metric, $value) = split /\t/;
    next unless grep { $_->[0] eq $metric } @loads;
    push @servers, $server unless $values{$server};
    push @{ $values{$server}{$metric} }, $value;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

sub thousands {
    my $number = sprintf '%.0f', $_[0];
    1 while $number =~ s/^(\d+)(\d{3})/$1,$2/;
    return $number;
}

my $longest = 1;
for my $server (@servers) {
    for my $load (@loads) {
        my $rate = median(@{ $values{$server}{ $load->[0] } });
        $longest = $rate if $rate > $longest;
    }
}

my $group = @servers * ($bar + $gap) + 52;
my $height = @loads * $group + 10;
print qq(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" role="img" ),
    qq(aria-label="Requests per second of each library" font-family="sans-serif" font-size="14">\n),
    qq(<rect width="$width" height="$height" fill="#ffffff"/>\n);
my $y = 28;
for my $load (@loads) {
    my ($metric, $title) = @$load;
    print qq(<text x="12" y="$y" font-weight="bold" fill="#1c2330">$title, requests/s</text>\n);
    $y += 14;
    for my $server (@servers) {
        my $rate = median(@{ $values{$server}{$metric} });
        my $length = sprintf '%.1f', $rate / $longest * ($width - $label - 90);
        my $colour = $server eq 'ours' ? '#1d4fd8' : '#8a94a6';
        my $base = $y + 16;
        my $end = sprintf '%.1f', $label + $length + 8;
        my $text = thousands($rate);
        print qq(<text x="12" y="$base" fill="#1c2330">$server</text>\n),
            qq(<rect x="$label" y="$y" width="$length" height="$bar" fill="$colour"/>\n),
            qq(<text x="$end" y="$base" fill="#1c2330">$text</text>\n);
        $y += $bar + $gap;
    }
    $y += 38;
}
print "</svg>\n";
