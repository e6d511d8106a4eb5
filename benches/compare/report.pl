#!/usr/bin/env perl
# Prints the table for the results of `run`: lines of round, server, metric and value, by tabs.
use strict;
use warnings;

my (%values, @servers);
while (<>) {
    chomp;
    my (undef, $server, $metric, $value) = split /\t/;
    push @servers, $server unless $values{$server} or $server eq 'pgbench';
    push @{ $values{$server}{$metric} }, $value;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

sub typical {
    my ($server, $metric) = @_;
    return median(@{ $values{$server}{$metric} });
}

sub rate { return sprintf '%.0f', typical($_[0], "$_[1]_per_s") }

sub milliseconds { return sprintf '%.1f', typical(@_) }

sub with_latency {
    my ($server, $metric) = @_;
    my ($p50, $p99) = map { milliseconds($server, "${metric}_p${_}_ms") } 50, 99;
    return rate($server, $metric) . " ($p50, $p99)";
}

# Of all increments that were answered, how many are not in the stored counts. Those that were
# stored but no longer answered when the load ended may make it negative.
sub lost {
    my ($server, $metric) = @_;
    my ($answered, $stored) = map { $values{$server}{"${metric}_$_"} } qw(answered stored);
    my @lost;
    for my $round (0 .. $#$answered) {
        my $share = $answered->[$round] ? 1 - $stored->[$round] / $answered->[$round] : 0;
        push @lost, $share > 0 ? 100 * $share : 0;
    }
    my $lost = median(@lost);
    return $lost == 0 ? '0' : sprintf '%.2f', $lost;
}

my @table = (
    [
        'server', 'plain/s', 'read/s (p50, p99 ms)', 'count/s (p50, p99 ms)', 'hot/s',
        'count p99 ms at 4', 'lost % many', 'lost % hot', 'peak MB',
    ],
    map {
        [
            $_, rate($_, 'plain'), with_latency($_, 'read'), with_latency($_, 'count'),
            rate($_, 'hot'), milliseconds($_, 'count4_p99_ms'), lost($_, 'count'),
            lost($_, 'hot'), sprintf('%.0f', typical($_, 'peak_kb') / 1024),
        ]
    } @servers
);

my @widths = (0) x @{ $table[0] };
for my $row (@table) {
    for my $column (0 .. $#$row) {
        my $length = length $row->[$column];
        $widths[$column] = $length if $length > $widths[$column];
    }
}
for my $row (@table) {
    my @cells = map { sprintf '%*s', $_ ? $widths[$_] : -$widths[$_], $row->[$_] } 0 .. $#$row;
    print join(' | ', @cells), "\n";
    print join('-|-', map { '-' x $_ } @widths), "\n" if $row == $table[0];
}

my $limits = $values{pgbench};
printf "\npgbench, 10 clients: %s SELECT/s, %s UPDATE/s\n", rate('pgbench', 'select'),
    rate('pgbench', 'update')
    if $limits;

sub ratio {
    my ($part, $whole) = @_;
    return $whole > 0 ? sprintf('%.2f', $part / $whole) : '-';
}

if ($values{ours}) {
    print "\n";
    for my $peer (grep { $_ ne 'ours' } @servers) {
        my @ratios = map { "$_ " . ratio(rate('ours', $_), rate($peer, $_)) } qw(read count hot);
        printf "%-30s %s\n", "ours / $peer:", join ', ', @ratios;
    }
    printf "%-30s %s\n", 'ours read / ours plain:', ratio(map { rate('ours', $_) } qw(read plain));
    printf "%-30s %s\n", 'ours count / pgbench UPDATE:',
        ratio(rate('ours', 'count'), rate('pgbench', 'update'))
        if $limits;
}

# The rates count good answers only; these are the others.
for my $server (@servers) {
    for my $metric (sort grep { /_(?:refused|socket_errors)$/ } keys %{ $values{$server} }) {
        my $sum = 0;
        $sum += $_ for @{ $values{$server}{$metric} };
        next unless $sum;
        my ($load, $kind) = $metric =~ /^(.*?)_(refused|socket_errors)$/;
        $kind = $kind eq 'refused' ? 'answers with an error status' : 'socket errors or timeouts';
        print "\nnote: $server, $load: $sum $kind in all rounds";
    }
}
print "\n";
